-- Deleting what has nothing beside it costs no more than the look-ups that say so. A trigger without
-- a condition opens each table of its body for writing; and a statement that may fire one for many
-- rows keeps their keys in a table of its own first.

-- Who deletes checkpoints deletes what was written beside them, too.
DROP TRIGGER checkpoint_writes_go;
DROP TRIGGER saved_runs_go;
DROP TRIGGER plans_go;
DROP TRIGGER threads_gone;
CREATE TRIGGER threads_gone AFTER DELETE ON threads
WHEN EXISTS (SELECT 1 FROM saved_runs WHERE thread_id = OLD.id)
  OR EXISTS (SELECT 1 FROM plans WHERE thread_id = OLD.id)
  OR EXISTS (SELECT 1 FROM preference_overrides WHERE thread_id = OLD.id)
  OR EXISTS (SELECT 1 FROM thread_conversations WHERE thread_id = OLD.id)
  OR EXISTS (SELECT 1 FROM crons WHERE thread_id = OLD.id)
BEGIN
  DELETE FROM saved_runs WHERE thread_id = OLD.id;
  DELETE FROM plans WHERE thread_id = OLD.id;
  DELETE FROM preference_overrides WHERE thread_id = OLD.id;
  DELETE FROM thread_conversations WHERE thread_id = OLD.id;
  DELETE FROM crons WHERE thread_id = OLD.id;
END;

CREATE TRIGGER assistants_gone AFTER DELETE ON assistants
WHEN EXISTS (SELECT 1 FROM crons WHERE assistant_id = OLD.id)
BEGIN
  DELETE FROM crons WHERE assistant_id = OLD.id;
END;

DROP TRIGGER push_configs_go;
CREATE TRIGGER push_configs_go AFTER DELETE ON runs
WHEN EXISTS (SELECT 1 FROM push_configs WHERE run_id = OLD.id)
  OR EXISTS (SELECT 1 FROM deliveries WHERE webhook_id = OLD.id)
BEGIN
  DELETE FROM push_configs WHERE run_id = OLD.id;
  DELETE FROM deliveries WHERE webhook_id = OLD.id;
END;

DROP TRIGGER store_items_vectors_gone;
CREATE TRIGGER store_items_vectors_gone AFTER DELETE ON store_items
WHEN EXISTS (SELECT 1 FROM item_vectors
             WHERE owner = OLD.owner AND namespace = OLD.namespace AND key = OLD.key)
BEGIN
  DELETE FROM item_vectors
  WHERE owner = OLD.owner AND namespace = OLD.namespace AND key = OLD.key;
END;
