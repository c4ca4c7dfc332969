/* SPDX-License-Identifier: Apache-2.0 */
/* graph_files.c - *.json of a folder as graphs.
 *
 * A document without an id has the file's name as one. Files may have each other's graphs as
 * subgraphs, in any order: those that can be built are, until none is left; what is left then has
 * subgraphs that are nowhere, or in a circle. Nothing of the folder replaces a built-in graph. */
#include "app/graph_files.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>

#include "base/mem.h"
#include "graphs/document.h"

#define FILES_MAX 1000

struct graph_file {
    str path, id;
    yyjson_val *root;
    bool built;
};
struct folder {
    struct arena a;
    struct registry *registry;
    struct graph_file files[FILES_MAX];
    size_t count;
};

static int read_file(struct folder *f, struct graph_file *file, struct err *err) {
    FILE *in = fopen(file->path.p, "rb");
    if (!in)
        return err_set_system(err, ERR_IO, errno, "--graphs: %.150s cannot be read: %s",
                              file->path.p, strerror(errno));
    size_t room = DOCUMENT_BYTES_MAX + 1;
    char *text = arena_alloc(&f->a, room);
    size_t len = fread(text, 1, room, in);
    bool failed = ferror(in) != 0;
    (void)fclose(in); /* only read */
    if (failed)
        return err_set(err, ERR_IO, "--graphs: %.150s cannot be read", file->path.p);
    if (len == room)
        return err_set(err, ERR_TOO_LARGE, "--graphs: %.150s is longer than %zu bytes",
                       file->path.p, DOCUMENT_BYTES_MAX);
    int rc = json_parse(&f->a, str_n(text, len), &file->root, err);
    if (rc < 0) {
        (void)err_context(err, "--graphs: %.100s", file->path.p);
        return rc;
    }
    if (json_str(json_get(file->root, "id")).p)
        file->id = json_str(json_get(file->root, "id"));
    return 0;
}

static int list_files(struct folder *f, const char *path, struct err *err) {
    DIR *d = opendir(path);
    if (!d)
        return err_set_system(err, ERR_INVALID, errno, "--graphs: %.150s cannot be opened: %s",
                              path, strerror(errno));
    int rc = 0;
    for (struct dirent *e; rc == 0 && (e = readdir(d)) != NULL;) {
        str name = str_of(e->d_name);
        if (!str_ends(name, STR(".json")) || str_starts(name, STR(".")))
            continue;
        if (f->count == FILES_MAX) {
            rc = err_set(err, ERR_TOO_LARGE, "--graphs: more than %d files", FILES_MAX);
            break;
        }
        struct graph_file *file = &f->files[f->count++];
        file->path = arena_printf(&f->a, "%s/%s", path, e->d_name);
        file->id = arena_dup(&f->a, str_slice(name, 0, name.len - 5));
        rc = read_file(f, file, err);
    }
    closedir(d);
    return rc;
}

static const struct graph_def *find(void *ctx, str id) {
    return registry_find(((struct folder *)ctx)->registry, id);
}

/* Are all subgraphs that are files built already? */
static bool is_ready(const struct folder *f, const struct graph_file *file) {
    str names[GRAPH_SUBGRAPHS_MAX];
    size_t count = document_subgraphs(file->root, names, GRAPH_SUBGRAPHS_MAX);
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < f->count; k++)
            if (str_eq(f->files[k].id, names[i]) && !f->files[k].built)
                return false;
    return true;
}

static int build(struct folder *f, struct graph_file *file, struct err *err) {
    struct graph_finder finder = {find, f};
    struct graph_faults *faults = ARENA_NEW(&f->a, struct graph_faults);
    const struct graph_def *g;
    faults->a = &f->a;
    if (registry_find(f->registry, file->id))
        return err_set(err, ERR_INVALID, "--graphs: %.100s: there is a graph \"%.64s\" already",
                       file->path.p, arena_z(&f->a, file->id));
    int rc = document_build(file->root, file->id, &finder, faults, &g, err);
    if (rc < 0) {
        (void)err_context(err, "--graphs: %.100s", file->path.p);
        return rc;
    }
    registry_add(f->registry, g);
    graph_def_unref(g);
    file->built = true;
    return 0;
}

static int build_all(struct folder *f, struct err *err) {
    for (size_t left = f->count, before = 0; left != before && left > 0;) {
        before = left;
        for (size_t i = 0; i < f->count; i++) {
            struct graph_file *file = &f->files[i];
            if (file->built || !is_ready(f, file))
                continue;
            int rc = build(f, file, err);
            if (rc < 0)
                return rc;
            left--;
        }
    }
    for (size_t i = 0; i < f->count; i++)
        if (!f->files[i].built)
            return err_set(err, ERR_INVALID, "--graphs: %.150s contains itself as a subgraph",
                           f->files[i].path.p);
    return 0;
}

int graph_files_load(const char *folder, struct registry *registry, struct err *err) {
    if (!folder || !folder[0])
        return 0;
    struct folder *f = NEW(struct folder);
    arena_init(&f->a, (size_t)1 << 30);
    f->registry = registry;
    int rc = list_files(f, folder, err);
    if (rc == 0)
        rc = build_all(f, err);
    arena_deinit(&f->a);
    mem_free(f);
    return rc;
}
