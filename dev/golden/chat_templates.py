"""Makes Tests/AttuneTextTests/Fixtures/ChatTemplates.jsonl: small chat templates, rendered by transformers, with the
texts an assistant has to say (written by hand; the script only checks that they occur in order).

Usage: python chat_templates.py > ../../Tests/AttuneTextTests/Fixtures/ChatTemplates.jsonl
"""

import json

from transformers.utils import chat_template_utils

CHATML = r"""{%- if tools %}
<|im_start|>system
{{ messages[0].content ~ '\n\n' if messages[0].role == 'system' }}# Tools
{%- for tool in tools %}
{{ tool | tojson }}
{%- endfor %}<|im_end|>
{% endif %}
{%- set ns = namespace(last=-1) %}
{%- for m in messages %}{% if m.role == 'user' %}{% set ns.last = loop.index0 %}{% endif %}{% endfor %}
{%- for message in messages %}
{%- if message.role == 'assistant' %}
{%- set content = message.content or '' %}
{%- if '</think>' in content and loop.index0 < ns.last %}
{%- set content = content.split('</think>')[-1].lstrip('\n') %}
{%- endif %}
{{- '<|im_start|>assistant\n' + content }}
{%- for call in message.tool_calls or [] %}
{{- '\n<tool_call>\n{"name": "' ~ call.function.name ~ '", "arguments": ' }}
{{- call.function.arguments if call.function.arguments is string else call.function.arguments | tojson }}
{{- '}\n</tool_call>' }}
{%- endfor %}
{{- '<|im_end|>\n' }}
{%- elif message.role == 'tool' %}
{%- if loop.first or loop.previtem.role != 'tool' %}{{ '<|im_start|>user' }}{% endif %}
{{- '\n<tool_response>\n' + message.content + '\n</tool_response>' }}
{%- if loop.last or loop.nextitem.role != 'tool' %}{{ '<|im_end|>\n' }}{% endif %}
{%- elif not (tools and loop.first and message.role == 'system') %}
{{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"""

LLAMA = r"""{{- bos_token }}
{%- set loop_messages = messages %}
{%- for message in loop_messages %}
{%- set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' + message['content'] | trim + '<|eot_id|>' %}
{%- if loop.index0 == 0 %}{% set content = '' + content %}{% endif %}
{{- content }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"""

MISTRAL = r"""{{ bos_token }}{% for message in messages %}
{%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
{{- raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}
{%- endif %}
{%- if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}
{%- else %}{{ ' ' + message['content'] + eos_token }}{% endif %}
{%- endfor %}"""

GEMMA = r"""{{ bos_token }}
{%- if messages[0].role == 'system' %}{% set first = messages[0].content + '\n\n' %}{% set rest = messages[1:] %}
{%- else %}{% set first = '' %}{% set rest = messages %}{% endif %}
{%- for message in rest %}
{%- set role = 'model' if message.role == 'assistant' else message.role %}
{{- '<start_of_turn>' + role + '\n' + (first if loop.first else '') }}
{%- if message.content is string %}{{ message.content | trim }}
{%- else %}{% for part in message.content %}{{ part.text | trim if part.type == 'text' else '<image>' }}{% endfor %}
{%- endif %}
{{- '<end_of_turn>\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"""

HEADER_IN_USER_TURN = r"""{% for message in messages %}
{%- if message.role == 'user' %}USER: {{ message.content }} ASSISTANT:
{%- else %} {{ message.content }}{{ eos_token }}{% endif %}
{%- endfor %}"""

INDEXES = r"""{% for i in range(messages | length) %}{% set m = messages[i] %}<{{ m.role }}>{{ m.content }}</{{ m.role }}>
{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"""

MACRO = r"""{% macro turn(m) %}<|{{ m.role }}|>{{ m.content | upper }}<|end|>{% endmacro %}
{%- set text %}{% for m in messages %}{{ turn(m) }}{% endfor %}{% endset %}{{ text | trim }}
{%- if add_generation_prompt %}<|assistant|>{% endif %}"""

GENERATION = r"""{% for m in messages %}<|{{ m.role }}|>{% if m.role == 'assistant' %}{% generation %}{{ m.content }}<|end|>
{%- endgeneration %}{% else %}{{ m.content }}<|end|>{% endif %}{{ '\n' }}{% endfor %}
{%- if add_generation_prompt %}<|assistant|>{% endif %}"""

PROMPT_WITH_THINK = r"""{% for m in messages %}<|{{ m.role }}|>
{%- if m.role == 'assistant' and loop.last %}<think>{{ m.reasoning_content or '' }}</think>{% endif %}{{ m.content }}<|end|>
{%- endfor %}{% if add_generation_prompt %}<|assistant|><think>{% endif %}"""

PLAIN = [
    {"role": "user", "content": "Was ist 1 < 2?"}, {"role": "assistant", "content": "Ja, e\u0301 \U0001f600."},
    {"role": "user", "content": " and [x]?"}, {"role": "assistant", "content": "<table>\n"},
]
SYSTEM = [{"role": "system", "content": "Be <brief>."}] + PLAIN
THINK = [
    {"role": "user", "content": "a"}, {"role": "assistant", "content": "<think>\nhm\n</think>\n\nb"},
    {"role": "user", "content": "c"}, {"role": "assistant", "content": "<think>\nso\n</think>\n\nd"},
]
TOOLS = [{"type": "function", "function": {"name": "f", "description": "x & <y>", "parameters": {"type": "object"}}}]
CALLS = [
    {"role": "user", "content": "go"},
    {"role": "assistant", "content": None, "tool_calls": [
        {"id": "1", "type": "function", "function": {"name": "f", "arguments": {"q": "caf\u00e9", "n": 1.0}}},
        {"id": "2", "type": "function", "function": {"name": "g", "arguments": "{\"k\": []}"}}]},
    {"role": "tool", "content": "r1", "tool_call_id": "1"}, {"role": "tool", "content": "r2", "tool_call_id": "2"},
    {"role": "assistant", "content": "done"},
]
PARTS = [
    {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": " see "}]},
    {"role": "assistant", "content": [{"type": "text", "text": "I"}, {"type": "text", "text": " do "}]},
]
E = "Ja, e\u0301 \U0001f600."
CALL_TEXT = ('\n<tool_call>\n{"name": "f", "arguments": {"q": "caf\u00e9", "n": 1.0}}\n</tool_call>'
             '\n<tool_call>\n{"name": "g", "arguments": {"k": []}}\n</tool_call><|im_end|>')

CASES = [
    ("chatml", CHATML, SYSTEM, None, [E + "<|im_end|>", "<table>\n<|im_end|>"]),
    ("chatml_thinking", CHATML, THINK, None, ["b<|im_end|>", "<think>\nso\n</think>\n\nd<|im_end|>"]),
    ("chatml_tools", CHATML, CALLS, TOOLS, [CALL_TEXT, "done<|im_end|>"]),
    ("chatml_tools_system", CHATML, SYSTEM, TOOLS, [E + "<|im_end|>", "<table>\n<|im_end|>"]),
    ("llama", LLAMA, SYSTEM, None, [E + "<|eot_id|>", "<table><|eot_id|>"]),
    ("mistral", MISTRAL, PLAIN, None, [" " + E + "</s>", " <table>\n</s>"]),
    ("mistral_refuses", MISTRAL, SYSTEM, None, None),
    ("gemma", GEMMA, SYSTEM, None, [E + "<end_of_turn>", "<table><end_of_turn>"]),
    ("gemma_parts", GEMMA, PARTS, None, ["Ido<end_of_turn>"]),
    ("header_in_user_turn", HEADER_IN_USER_TURN, PLAIN, None, [" " + E + "</s>", " <table>\n</s>"]),
    ("indexes", INDEXES, SYSTEM, None, [E + "</assistant>", "<table>\n</assistant>"]),
    ("macro", MACRO, PLAIN, None, ["JA, E\u0301 \U0001f600.<|end|>", "<TABLE>\n<|end|>"]),
    ("generation", GENERATION, SYSTEM, None, [E + "<|end|>", "<table>\n<|end|>"]),
    ("prompt_with_think", PROMPT_WITH_THINK, PLAIN, None, [E + "<|end|>", "</think><table>\n<|end|>"]),
]


def main():
    for name, source, messages, tools, trained in CASES:
        for prompt in (False, True):
            context = {"messages": messages, "tools": tools, "documents": None, "add_generation_prompt": prompt,
                       "bos_token": "<s>", "eos_token": "</s>"}
            row = {"name": name, "source": source, "context": context}
            chat = [{k: v for k, v in m.items() if v is not None} for m in messages]
            try:
                [row["expected"]], _ = chat_template_utils.render_jinja_template(
                    conversations=[chat], chat_template=source,
                    **{k: v for k, v in context.items() if k != "messages"})
            except Exception as error:  # a refusal is a result
                row["error"] = str(error)
            if trained is not None:
                row["trained"] = trained
                place = 0
                for text in trained:
                    place = row["expected"].index(text, place) + len(text)
            print(json.dumps(row))


if __name__ == "__main__":
    main()
