"""Chat templates: equal to transformers' rendering, and what a hostile template cannot do."""

import time

import pytest

from descent.data import DataError
from descent.data.tokenizers.chat import ChatTemplate

# Short templates of the shapes that published models have, written for this test.
SHAPES = {
    "llama2": """{%- if messages[0]['role'] == 'system' -%}
{%- set system = '<<SYS>>\\n' + messages[0]['content'] | trim + '\\n<</SYS>>\\n\\n' -%}
{%- set rest = messages[1:] -%}
{%- else -%}{%- set system = '' -%}{%- set rest = messages -%}{%- endif -%}
{%- for message in rest -%}
{%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}
{{ raise_exception('roles must alternate user/assistant') }}
{%- endif -%}
{%- if message['role'] == 'user' -%}
{{ bos_token + '[INST] ' + (system if loop.first else '') + message['content'].strip() + ' [/INST]' }}
{%- else -%}{{ ' ' + message['content'].strip() + ' ' + eos_token }}{%- endif -%}
{%- endfor -%}""",
    "llama3": """{{- bos_token }}
{%- if not date_string is defined %}{% set date_string = "26 Jul 2024" %}{% endif %}
{%- if tools is not none %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\nTools: " }}
{%- for t in tools %}{{- t | tojson(indent=4) }}{{- "\\n" }}{% endfor %}
{{- date_string ~ "<|eot_id|>" }}
{%- endif %}
{%- for message in messages %}
    {%- if message.role == 'tool' or 'tool_calls' in message %}
        {%- for call in message.tool_calls | default([]) %}
            {{- '{"name": "' + call.function.name + '", "parameters": ' }}
            {{- call.function.arguments | tojson }}
            {{- "}" }}
        {%- endfor %}
        {%- if message.role == 'tool' %}{{- message.content | tojson }}{% endif %}
    {%- else %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] | trim + '<|eot_id|>' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
""",
    "qwen2": """{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\\nYou are a helpful assistant<|im_end|>\\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\\n' + (message['content'] or '') + '<|im_end|>' + '\\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}""",
    "mistral": """{{ bos_token }}{% set ns = namespace(n=0, tail=[]) %}{% for m in messages %}{% if m.role == 'system' %}{% continue %}{% endif %}{% set ns.n = ns.n + 1 %}{% if m['role'] == 'user' %}{{ '[INST] ' ~ m['content'] ~ ' [/INST]' }}{% elif m['role'] == 'assistant' %}{% generation %}{{ (m['content'] or '') + eos_token }}{% endgeneration %}{% else %}[TOOL]{{ m.content }}{% endif %}{% endfor %}{{ ns.n }}""",
    "smollm2": """{% for message in messages %}
{% if loop.first and messages[0]['role'] != 'system' %}
{{ '<|im_start|>system\\nYou are SmolLM<|im_end|>\\n' }}
{% endif %}
  {# a comment #}
  {{'<|im_start|>' + message.role + '\\n' + message.get('content', '') + '<|im_end|>\\n'}}
{% endfor %}
{% if add_generation_prompt %}
{{ '<|im_start|>assistant\\n' }}
{% endif %}""",
    "zephyr": """{% macro part(role, text) %}<|{{ role }}|>
{{ text }}{{ eos_token }}{% endmacro %}
{% for message in messages if message.content %}
{{ part(message['role'], message['content']) }}
{% if loop.last and add_generation_prompt %}
{{ '<|assistant|>' }}
{% endif %}
{% endfor %}""",
}  # fmt: skip
TOOLS = [
    {"type": "function", "function": {"name": "wörter", "parameters": {"type": "object", "a<b": 1}}}
]
CALL = {"type": "function", "function": {"name": "add", "arguments": {"x": 1.5, "y": "é<&>'\""}}}
TALKS = {
    "one": [{"role": "user", "content": " Hi <b>&amp;</b> 'you'\n"}],
    "several": [
        {"role": "system", "content": "Be   brief. "},
        {"role": "user", "content": "naïve 🙂?"},
        {"role": "assistant", "content": "Yes."},
        {"role": "user", "content": "{{ bos_token }}{% if %}"},
    ],
    "tools": [
        {"role": "user", "content": "1.5 + é"},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "content": '{"sum": 3}'},
    ],
}
NAMES = {"bos_token": "<s>", "eos_token": "</s>"}


def theirs(source, messages, **options):
    """What transformers renders, or None where it raises."""
    pytest.importorskip("transformers")
    import jinja2
    from transformers.utils.chat_template_utils import render_jinja_template

    messages = [{k: v for k, v in each.items() if v is not None} for each in messages]
    try:
        rendered, _ = render_jinja_template(
            conversations=[messages], chat_template=source, **NAMES, **options
        )
    except (jinja2.TemplateError, TypeError):
        return None
    return rendered[0]


@pytest.mark.oracle
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("talk", TALKS)
@pytest.mark.parametrize("add_generation_prompt", [True, False])
@pytest.mark.parametrize("tools", [None, TOOLS])
def test_equals_transformers(shape, talk, add_generation_prompt, tools):
    options = {"add_generation_prompt": add_generation_prompt, "tools": tools}
    expected = theirs(SHAPES[shape], TALKS[talk], **options)
    template = ChatTemplate(SHAPES[shape], **NAMES)
    if expected is None:
        with pytest.raises(DataError, match="chat template: "):
            template.render(TALKS[talk], **options)
    else:
        assert template.render(TALKS[talk], **options) == expected


def test_what_the_template_says_itself():
    template = ChatTemplate(SHAPES["llama2"], **NAMES)
    with pytest.raises(DataError, match=r"chat template: roles must alternate user/assistant"):
        template.render([{"role": "assistant", "content": "a"}])


def test_time_and_further_variables():
    source = "{{ strftime_now('%Y') }}{{ thinking }}{{ unk_token }}"
    template = ChatTemplate(source, tokens={"unk_token": "<unk>"})
    assert template.render([], thinking=3) == f"{time.strftime('%Y')}3<unk>"


HOSTILE = {
    "loops": "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "a long range": "{% for a in range(9999999999) %}{% endfor %}",
    "recursion": "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "two ways of recursion": "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
    "attributes": "{{ ''.__class__.__mro__ }}",
    "attributes by name": "{{ (messages | attr('__class__')).mro() }}",
    "globals": "{{ raise_exception.__globals__['re'] }}",
    "a namespace": "{% set n = namespace() %}{% set n.__class__ = 1 %}",
    "changing": "{{ messages.append(1) }}",
    "importing": "{% include '/etc/passwd' %}",
    "repetition": "{{ 'a' * 999999999999 }}",
    "a list repeated": "{{ ([1] * 999999999) | length }}",
    "doubling": "{% set n = namespace(a='aa') %}{% for i in range(60) %}{% set n.a = n.a ~ n.a %}{% endfor %}",
    "doubling by adding": "{% set n = namespace(a='aa') %}{% for i in range(60) %}{% set n.a = n.a + n.a %}{% endfor %}",
    "doubling in a block": "{% set n = namespace(a='aa') %}{% for i in range(60) %}{% set b %}{{ n.a }}{{ n.a }}{% endset %}{% set n.a = b %}{% endfor %}",
    "doubling by joining": "{% set n = namespace(a='aa') %}{% for i in range(60) %}{% set n.a = [n.a, n.a] | join %}{% endfor %}",
    "replacing": "{% set a = 'a' * 999999 %}{{ a | replace('a', a) }}{{ a.replace('a', a) }}",
    "replacing by a method": "{% set a = 'a' * 999999 %}{{ a.replace('a', a) }}",
    "joining": "{% set a = 'a' * 999999 %}{{ a | join(a) }}",
    "joining by a method": "{% set a = 'a' * 999999 %}{{ a.join(a) }}",
    "padding": "{{ 'a'.ljust(999999999999) }}",
    "padding by a format": "{{ '%999999999d' % 1 }}",
    "padding by another": "{{ '{:>999999999}'.format(1) }}",
    "padding by a filter": "{{ '%999999999d' | format(1) }}",
    "indenting": "{{ 'a' | indent(999999999, true) }}",
    "a power": "{{ 9 ** 9999 ** 9 }}",
    "powers": "{% set n = namespace(a=9) %}{% for i in range(99) %}{% set n.a = n.a * n.a %}{% endfor %}",
    "much output": "{% for a in range(99999) %}{{ 'a' * 9999 }}{% endfor %}",
    "json": "{% set a = [1] * 99999 %}{{ [a, a] | tojson(indent=99999) }}",
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_templates_end_in_an_error(name):
    messages = [{"role": "user", "content": "a"}]
    with pytest.raises(DataError, match="chat template: "):
        ChatTemplate(HOSTILE[name]).render(messages)
    assert ChatTemplate("{{ messages[0].content }}").render(messages) == "a"


def test_bad_sources_and_messages():
    with pytest.raises(DataError, match=r"chat template, line 2: .*endfor"):
        ChatTemplate("a\n{% endfor %}")
    with pytest.raises(DataError, match="No filter named 'center'"):
        ChatTemplate("{{ 'a' | center(5) }}")
    with pytest.raises(DataError, match="cannot be compiled"):
        ChatTemplate("{{" + "(" * 100_000 + "}}")
    with pytest.raises(DataError, match="text of at most"):
        ChatTemplate("a" * (2 << 20))
    template = ChatTemplate("{{ messages }}")
    with pytest.raises(DataError, match="must be a list"):
        template.render({"role": "user"})  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r'messages\[1\] must have a "role"'):
        template.render([{"role": "user"}, {"content": "a"}])
    with pytest.raises(DataError, match=r"messages\[0\] must be plain JSON"):
        template.render([{"role": "user", "content": object()}])
    with pytest.raises(DataError, match="TypeError"):
        ChatTemplate("{{ 1 + 'a' }}").render([])
