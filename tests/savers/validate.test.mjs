// SPDX-License-Identifier: Apache-2.0
/* The suite of LangGraph.js for checkpointers (npm @langchain/langgraph-checkpoint-validation) and
 * its part on delta channels, with HoldfastSaver against the server of HF_URL. Each of its parts
 * has a saver of its own, which shows its own threads only: those of others are deleted. */
import { deltaChannelHistoryTests, validate } from "@langchain/langgraph-checkpoint-validation";
import { HoldfastSaver } from "./holdfast_saver.mjs";

const initializer = {
  checkpointerName: "holdfast",
  createCheckpointer: () => new HoldfastSaver(process.env.HF_URL),
  async destroyCheckpointer(saver) {
    const threads = new Set();
    for await (const { config } of saver.list(undefined))
      threads.add(config.configurable.thread_id);
    for (const thread of threads) await saver.deleteThread(thread);
  },
};

validate(initializer);
deltaChannelHistoryTests(initializer);
