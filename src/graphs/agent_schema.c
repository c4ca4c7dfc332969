/* SPDX-License-Identifier: Apache-2.0 */
/* agent_schema.c - the JSON Schemas of the agent, as clients and forms read them.
 *
 * metadata.x_oap_ui_config is how chat UIs learn which control to draw for a field. A member of the
 * configuration that is added in agent_config.c is added here. */
#include "graphs/agent.h"

/* clang-format off */
const char AGENT_STATE_SCHEMA[] =
    "{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"title\":\"AgentState\","
    "\"type\":\"object\",\"properties\":{\"messages\":{\"title\":\"Messages\",\"langgraph_type\":"
    "\"messages\",\"type\":\"array\",\"items\":{\"$ref\":\"#/$defs/Message\"},\"default\":[]}},"
    "\"$defs\":{\"Message\":{\"type\":\"object\",\"properties\":{\"type\":{\"type\":\"string\","
    "\"enum\":[\"human\",\"ai\",\"system\",\"tool\",\"remove\"]},\"role\":{\"type\":\"string\","
    "\"description\":\"in place of type: user, assistant, system, developer, tool\"},\"content\":"
    "{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"array\",\"items\":{\"anyOf\":[{\"type\":"
    "\"string\"},{\"type\":\"object\"}]}}]},\"id\":{\"anyOf\":[{\"type\":\"string\"},{\"type\":"
    "\"null\"}]},\"name\":{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"null\"}]},\"tool_calls\":"
    "{\"type\":\"array\",\"items\":{\"type\":\"object\",\"properties\":{\"name\":{\"type\":"
    "\"string\"},\"args\":{\"type\":\"object\"},\"id\":{\"anyOf\":[{\"type\":\"string\"},{"
    "\"type\":\"null\"}]},\"type\":{\"const\":\"tool_call\"}},\"required\":[\"name\",\"args\"]}},"
    "\"tool_call_id\":{\"type\":\"string\"},\"additional_kwargs\":{\"type\":\"object\"},"
    "\"response_metadata\":{\"type\":\"object\"}}}}}";

const char AGENT_CONFIG_SCHEMA[] =
    "{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"title\":\"AgentConfig\","
    "\"type\":\"object\",\"properties\":{\"model_name\":{\"type\":\"string\",\"title\":\"Model\","
    "\"description\":\"provider:model, for example openai:gpt-4o-mini. Providers: openai, "
    "anthropic, google_genai, google_vertexai, custom. Default: what the server sets.\","
    "\"metadata\":{"
    "\"x_oap_ui_config\":{\"type\":\"text\",\"placeholder\":\"openai:gpt-4o-mini\"}}},\"model\":{"
    "\"type\":\"string\",\"description\":\"The same as model_name, which wins.\"},"
    "\"temperature\":{\"type\":\"number\",\"minimum\":0,\"maximum\":2,\"title\":\"Temperature\","
    "\"description\":\"Randomness of the answers. Default: the model server's own.\","
    "\"metadata\":{\"x_oap_ui_config\":{\"type\":\"slider\",\"min\":0,\"max\":2,\"step\":0.1}}},"
    "\"max_tokens\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":10000000,\"title\":"
    "\"Longest answer\",\"description\":\"In tokens. Default: the model server's own.\","
    "\"metadata\":{\"x_oap_ui_config\":{\"type\":\"number\",\"min\":1}}},\"system_prompt\":{"
    "\"type\":\"string\",\"title\":\"System prompt\",\"description\":"
    "\"Instructions that precede the conversation.\",\"metadata\":{\"x_oap_ui_config\":{\"type\":"
    "\"textarea\"}}},\"tools\":{\"type\":\"array\",\"items\":{\"type\":\"string\",\"enum\":["
    "\"current_time\",\"calculator\",\"http_get\"]},\"title\":\"Tools\",\"description\":\"What "
    "the model may call. Default: all; http_get only on a server that allows hosts.\"},"
    "\"base_url\":{\"type\":\"string\",\"title\":\"Address of the model server\",\"description\":"
    "\"It must speak as the model's provider does; without one as OpenAI's does, for example "
    "http://127.0.0.1:11434/v1. Default: the provider's.\","
    "\"metadata\":{\"x_oap_ui_config\":{\"type\":\"text\"}}},\"custom_model_name\":{\"type\":"
    "\"string\",\"title\":\"Model at that address\",\"description\":\"Used only with base_url.\","
    "\"metadata\":{\"x_oap_ui_config\":{\"type\":\"text\"}}},\"custom_api_key\":{\"type\":"
    "\"string\",\"description\":\"API key of the server at base_url. Given with a run, it is "
    "used for that run's calls only.\",\"metadata\":{\"x_oap_ui_config\":{\"type\":\"password\"}}"
    "},\"openai_api_key\":{\"type\":\"string\",\"description\":\"API key of OpenAI. Given with a "
    "run, it is used for that run's calls only.\",\"metadata\":{\"x_oap_ui_config\":{\"type\":"
    "\"password\"}}},\"anthropic_api_key\":{\"type\":\"string\",\"description\":\"API key of "
    "Anthropic. Given with a run, it is used for that run's calls only.\",\"metadata\":{"
    "\"x_oap_ui_config\":{\"type\":\"password\"}}},\"google_api_key\":{\"type\":\"string\","
    "\"description\":\"API key of Google. Given with a run, it is used for that run's calls "
    "only.\",\"metadata\":{\"x_oap_ui_config\":{\"type\":\"password\"}}},\"apiKeys\":{\"type\":"
    "\"object\",\"description\":\"Keys by name: OPENAI_API_KEY, ANTHROPIC_API_KEY, "
    "GOOGLE_API_KEY, VERTEXAI_API_KEY, CUSTOM_API_KEY.\",\"additionalProperties\":{\"type\":"
    "\"string\"}}}}";
/* clang-format on */
