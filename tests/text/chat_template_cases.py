#!/usr/bin/env python3
"""Renders templates through Jinja2, set up as transformers does, for chat_template_test.cc.

    pip install jinja2 && python3 chat_template_cases.py > chat_template_cases.json

Each case: a template, a conversation, options, and what Jinja2 makes of it (or that it refuses).
Needed to make the expectations anew, not to run the tests.
"""
import datetime
import json
import sys

import jinja2
import jinja2.nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

NOW = 1721993415  # 2024-07-26 11:30:15 UTC, a Friday


class Generation(Extension):
    """{% generation %}, which transformers adds; it renders as its body."""
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_body"), [], [], body).set_lineno(line)

    def _body(self, caller):
        return caller()


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators,
                      sort_keys=sort_keys)


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def strftime_now(form):
    return datetime.datetime.fromtimestamp(NOW, datetime.timezone.utc).strftime(form)


def environment():
    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True,
                                        extensions=[Generation, loopcontrols])
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = strftime_now
    return env


CONVERSATIONS = {
    "one": [{"role": "user", "content": "Hi"}],
    "none": [],
    "system": [{"role": "system", "content": " You are terse. \n"},
               {"role": "user", "content": "Hi"}],
    "multi": [{"role": "system", "content": "Sys"},
              {"role": "user", "content": "First <|im_end|> \"quoted\" é 你好 🙂"},
              {"role": "assistant", "content": "<think>\nhmm\n</think>\n\nAnswer"},
              {"role": "user", "content": "  second\n line\ttwo  "},
              {"role": "assistant", "content": "b</think>c</think>d"},
              {"role": "user", "content": ""}],
}

# Whole templates of the kinds that models publish; but for the one named, written for this test.
TEMPLATES = {
    "chatml": """{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>' + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}""",
    # SmolLM2-135M-Instruct's own (Hugging Face, Apache-2.0).
    "smollm2": """{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system
You are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>
' }}{% endif %}{{'<|im_start|>' + message['role'] + '
' + message['content'] + '<|im_end|>' + '
'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant
' }}{% endif %}""",
    "default system": """{%- if messages and messages[0].role == 'system' -%}
    {{- bos_token + '<s>' + messages[0].content | trim + '</s>\\n' -}}
    {%- set rest = messages[1:] -%}
{%- else -%}
    {{- bos_token }}<s>default</s>
    {%- set rest = messages -%}
{%- endif -%}
{%- for message in rest %}
    {%- if message.role not in ['user', 'assistant'] %}
        {{- raise_exception('Unknown role in message ' ~ loop.index) }}
    {%- endif %}

    {{- '[' ~ message.role | upper ~ ']' ~ (message.content | trim) }}
    {%- if not loop.last %}{{ '\\n' }}{% endif %}
{%- endfor %}
{%- if add_generation_prompt %}[ASSISTANT]{% endif %}
""",
    "thinking": """{%- set ns = namespace(multi=true, last=messages|length - 1, count=0) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.multi and message.role == "user" and not(message.content.startswith('<tool>') and message.content.endswith('</tool>')) %}
        {%- set ns.multi = false %}
        {%- set ns.last = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- set content = message.content if message.content is string else '' %}
    {%- set reasoning = '' %}
    {%- if message.reasoning is defined and message.reasoning is not none %}
        {%- set reasoning = message.reasoning %}
    {%- elif '</think>' in content %}
        {%- set reasoning = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
        {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
    {%- endif %}
    {%- set ns.count = ns.count + 1 %}
    {{- '<|' + message.role + '|>' + (reasoning.strip('\\n') ~ '!' if loop.index0 >= ns.last - 2 else '') + content + '<|end|>\\n' }}
{%- endfor %}
{{- ns.count }}
{%- if add_generation_prompt %}
    {{- '<|assistant|>' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}""",
    "tools": """{%- if tools is not none and tools %}{{ tools | tojson(indent=4) }}{% else %}no tools{% endif %}
{%- for message in messages if message.role == 'assistant' %}
{%- if message.tool_calls is defined and message.tool_calls %}
{%- for call in message.tool_calls %}{{ call.function.name }}{{ call.function.arguments | tojson }}{% endfor %}
{%- elif 'tool_calls' in message %}never{% else %}
{{ loop.index }}/{{ loop.length }}:{{ message['content'] }}
{% endif %}
{%- else %}
nobody answered
{%- endfor %}""",
    "macros": """{%- macro head(role, end='|>', start='<|') -%}
{{ start }}{{ role }}{{ end }}
{%- endmacro -%}
{%- macro turn(message) %}{{ head(message.role) }}{{ message.content|trim }}{{ head('end', start='</|') }}{% endmacro -%}
{% if true %}{% macro tail() %}{{ suffix }}{% endmacro %}{% endif %}
{% set suffix = '~' %}
{% for message in messages %}{{ turn(message) }}{{ tail() }}
{% endfor %}{{ head(end='>', role='x') }}{{ undefined_one }}""",
    "alternation": """{{ bos_token }}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ message['content'] + eos_token }}{% else %}{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}{% endfor %}""",
    "generation": """{% for message in messages %}
{% if message.role == 'assistant' %}
{% generation %}
{{ message.content }}{{ eos_token }}
{% endgeneration %}
{% continue %}
{% endif %}
{% if loop.index > 4 %}
{% break %}
{% endif %}
{{ message.role }}
{% endfor %}""",
    "date": """{%- if not date_string is defined %}
    {%- set date_string = strftime_now("%d %b %Y") if strftime_now is defined else "26 Jul 2024" %}
{%- endif %}
{{- "Today Date: " + date_string + "\\n\\n" }}{{ strftime_now("%Y-%m-%d %H:%M:%S %A %B %j %p %I %y %a %%") }}""",
    "captures": """{% set greeting %}
  Hello {{ messages[0].role }}
{% endset %}
{% set shout | upper | trim %} {{ greeting }} {% endset %}
{{ greeting }}|{{ shout }}|
{% filter replace('l', 'L') %}
 all {{ messages|length }}
{% endfilter %}
{% with a = 1, b = 'x' %}{% set c = a %}{{ a }}{{ b }}{{ c }}{% endwith %}{{ c is defined }}""",
    "raw": """a {% raw %} {{ not }} {% this %} {# kept #}
{% endraw %} b {#- gone -#}   c
  {# a comment on its own line #}
d {%- raw -%}   {{ x }}   {%- endraw -%}   e""",
    "white space": """
  {% if true %}
    one
  {%+ if true %}
   two
  {% endif +%}
  {% endif %}
	{{ 'three' }}   
   {{- 'four' -}}   
 five {% if true -%}  
   six
{%- endif %}  seven
 x {% set a = 1 %} y
{{ 'ends' }}
{% if true %}{{ 'z' }}{% endif %}

last
""",
    "carriage returns": "a\r\n{% if true %}\r\nb\r{% endif %}\r\nc{{ 'x\r\ny' }}\r\n",
    "scopes": """{% set x = 1 %}{% for i in [1, 2] %}{{ x }}{% set x = x + 10 %}{{ x }};{% endfor %}{{ x }}
{% if true %}{% set y = 5 %}{% endif %}{{ y }}{% for i in [] %}{% else %}{% set z = 1 %}{{ z }}{% endfor %}{{ z is defined }}
{% for i in [1,2] %}{% for j in ['a','b'] %}{{ loop.index }}{{ loop.depth }}{{ i }}{{ j }}{{ loop.first }}{{ loop.last }}{{ loop.revindex }}{{ loop.revindex0 }} {% endfor %}{{ loop.index0 }}{% endfor %}
{% for k, v in {'a': 1, 'b': [2, 3]}.items() %}{{ k }}={{ v }},{% endfor %}{% for a, b in [[1, 2], (3, 4)] %}{{ a + b }} {% endfor %}
{% for x in 'héy' %}{{ x }}.{% endfor %}{% for x in {'p': 1} %}{{ x }}{% endfor %}{% for x in nothing %}{% endfor %}
{% for i in range(5) if i % 2 %}{{ i }}{{ loop.length }}{{ loop.previtem }}{{ loop.nextitem }}{{ loop.cycle('o', 'e') }}{% endfor %}""",
}

# Expressions, each rendered as {{ EXPRESSION }} in a template of its own.
EXPRESSIONS = r"""
1 + 2 * 3 - 4 // 3 % 2
7 / 2
-7 // 2
-7 % 3
7 % -3
-7 / 2
7.5 // 2
-7.5 % 2
2 ** 10
2 ** -1
2 ** 3 ** 2
-2 ** 2
-1|abs
(-5)|abs
1.5 + 2
0.1 + 0.2
1e16
1e15
123456789.0
1e-5
0.0001
1.0
1e300 * 10
100000000000000000000.0
1_000 + 0x1F + 0b11 + 0o17
true + 1
True and not False
none
None
[1, 'a', none, true, 1.5, [2], (3,), (), {'k': 'v'}]
{'a': 1, 'b': {'c': [1, 2]}}
('a', 'b')
1, 2
'a' 'b' "c"
'it\'s' ~ "\"q\"" ~ '\\ \n \t \x41 \u00e9 \U0001F642 \101 \q'
['it\'s', "\"q\"", 'both \' and "', 'é', '\n', '\x7f', '\u200b', '🙂', '\\']
'a' + 'b' * 3
[1] * 2 + [2]
'abc'[0] ~ 'abc'[-1] ~ 'héllo'[1] ~ 'abc'[1:] ~ 'abcdef'[::2] ~ 'abc'[::-1] ~ 'abc'[-2:] ~ 'abc'[:-1]
[1, 2, 3, 4][1:3], [1, 2, 3][::-1], [1, 2, 3][5:], [1, 2, 3][-100:100], [1, 2, 3, 4, 5][4:0:-2]
(1, 2, 3)[1:]
'abc'[10:] ~ '|' ~ 'abc'[2:1]
'abc'[10] is defined
[1, 2][5] is defined
{'a': 1}.a, {'a': 1}['a'], {'a': 1}.b is defined
{'a': {'b': 2}}.a.b
[[1, 2], [3]][0][1]
messages[0].role, messages.0.role, messages[-1]['content']
messages[0]['missing'] is defined
messages[100].role
messages[0].missing.deeper
nothing
nothing.x
nothing['x']
nothing + 1
1 + nothing
nothing ~ 'x'
nothing == none
nothing == other
nothing is none
not nothing
nothing | length
nothing or 'fallback'
nothing | default('fallback')
'' | default('fallback')
'' | default('fallback', true)
none | default('x')
nothing | d
1 == 1.0, 1 == true, '1' == 1, [1] == [1], [1] == (1,), {'a': 1} == {'a': 1.0}, none == false
1 < 2 < 3, 1 < 2 > 3, 'a' < 'b', [1, 2] < [1, 3], 1 <= 1.0, 'Z' < 'a', 'é' > 'z'
1 < 'a'
none < 1
'a' in 'abc', 'd' in 'abc', 1 in [1, 2], 'a' in {'a': 1}, 3 not in [1], '' in ''
1 in 'abc'
1 in 5
'x' in nothing
not 1 in [2]
1 if true else 2
1 if false
(1 if false) is undefined
'a' if false else 'b' if false else 'c'
1 or 0, 0 or '', 0 and 1, 'a' and 'b', '' or none
not not 1
1 is defined, nothing is defined, nothing is undefined, nothing is not defined
'a' is string, 1 is string, 1 is number, 1.5 is number, true is number, 1 is integer, true is integer, 1.5 is float
true is boolean, 1 is boolean, true is true, 1 is true, false is false, none is none
{} is mapping, [] is mapping, [] is sequence, 'a' is sequence, {} is sequence, 1 is sequence
[] is iterable, 'a' is iterable, 1 is iterable, nothing is iterable
4 is even, 3 is odd, 9 is divisibleby 3, 9 is divisibleby(2)
1 is eq 1, 1 is ne 2, 1 is equalto(1), 2 is gt 1, 1 is lt 2, 1 is ge 1, 1 is le 0, 1 is == 1
1 is in [1, 2], 3 is not in [1]
'abc' is lower, 'ABC' is upper, 'aBc' is lower
none is sameas none, 1 is sameas 1, true is sameas 1
'a' is defined and 'b' is string
messages is defined and messages | length > 0
'a b  c'.split(), 'a,b,c'.split(','), 'a,b,c'.split(',', 1), 'a,b,c'.rsplit(',', 1), ' a  b '.split(' ')
' a  b  c '.split(none, 1), ' a  b  c '.rsplit(none, 1), ''.split(), ''.split(','), 'aaa'.rsplit('aa')
'a,b'.split(sep=',', maxsplit=0)
'abc'.split('')
'  x '.strip() ~ '|' ~ '  x '.lstrip() ~ '|' ~ '  x '.rstrip() ~ '|' ~ 'xxaxx'.strip('x') ~ 'xyaxy'.lstrip('yx') ~ 'éaé'.strip('é')
'\u00a0\u2003x\u3000\x1f'.strip()
'abc'.startswith('a'), 'abc'.endswith('c'), 'abc'.startswith(('x', 'a')), ''.startswith('')
'aXbX'.replace('X', '-'), 'aXbX'.replace('X', '-', 1), 'ab'.replace('', '.'), 'aaa'.replace('aa', 'b')
'Hello World'.upper() ~ 'Hello'.lower() ~ "it's a-b c1d".title() ~ 'hELLO wORLD'.capitalize()
'straße É ñ Ω ж'.upper() ~ 'ÀÉ ΑΒΓ ЖЩ'.lower() ~ 'élan vital'.title() ~ 'ébc'.capitalize()
'abc'.find('c'), 'abc'.find('x'), 'héé'.find('é', 2), 'abcabc'.count('bc'), 'abc'.count(''), 'abc'.index('b')
'abc'.index('x')
'12'.isdigit(), ''.isdigit(), 'a1'.isdigit()
'prefix-x'.removeprefix('prefix-'), 'x.txt'.removesuffix('.txt'), 'abc'.removeprefix('zz')
'a\nb\r\nc\n'.splitlines(), 'a\n\nb'.splitlines(true)
', '.join(['a', 'b'])
', '.join([1])
{'a': 1}.keys() | list, {'a': 1}.values() | list, {'a': 1, 'b': 2}.items() | list
{'a': 1}.get('a'), {'a': 1}.get('b'), {'a': 1}.get('b', 2)
[1, 2, 1].count(1), [1, 2].index(2)
1.5.x is defined
'abc'.x is defined, none.x is defined, (1).x is defined
'  x  ' | trim, 'xxax' | trim('x')
'abc' | length, 'é🙂' | length, [1, 2] | count, {'a': 1} | length
5 | length
'ab' | upper | lower | capitalize | title
"it's a-b (c) d_e <f> HELLO" | title
'hello wORLD' | capitalize
[1, 2, 3] | first, [1, 2, 3] | last, 'abc' | first, 'abc' | last, [] | first is defined
[1, 2, 3] | join, [1, 2, 3] | join(', '), messages | join(',', attribute='role'), 'abc' | join('-')
[3, 1, 2] | sort, ['b', 'A', 'c'] | sort, ['b', 'A', 'c'] | sort(case_sensitive=true), [3, 1, 2] | sort(reverse=true)
messages | sort(attribute='content') | map(attribute='content') | list
[1, 'a'] | sort
[1, 2, 1, 3] | unique | list, ['a', 'A', 'b'] | unique | list
[1, 2, 3] | reverse | list, 'abc' | reverse
[1, 2, 3] | sum, [1.5, 2] | sum(start=10), [] | sum
[3, 1, 2] | min, [3, 1, 2] | max, ['b', 'A'] | min, [] | max is defined
messages | map(attribute='role') | list, messages | map(attribute='x', default='-') | list
['a ', ' b'] | map('trim') | list, ['a', 'b'] | map('upper') | join, [1, 2] | map('string') | list, [[1, 2], [3]] | map('join', '+') | list
['1', 'x'] | map('int', 7) | list
messages | selectattr('role', 'equalto', 'user') | list | length
messages | rejectattr('role', '==', 'user') | map(attribute='role') | list
messages | selectattr('missing') | list, messages | selectattr('missing', 'defined') | list
[1, 2, 3, 4] | select('even') | list, [1, 2, 3] | reject('gt', 1) | list, [0, 1, '', 'a'] | select | list
messages | selectattr('content', 'in', ['Hi', '']) | list | length
'3' | int, 'x' | int, 'x' | int(5), 3.9 | int, '3.7' | int, ' 12 ' | int, 'ff' | int(0, 16), true | int, none | int
'3.5' | float, 'x' | float, 2 | float, 'x' | float(1.5)
3.14159 | round(2), 2.5 | round, 3.5 | round, 2.1 | round(method='ceil'), 2.9 | round(0, 'floor'), 3 | round
-3 | abs, -2.5 | abs
{'b': 1, 'a': 2} | items | list, {'b': 1, 'a': 2} | dictsort, {'b': 1, 'a': 2} | dictsort(by='value'), {'b': 1, 'A': 2} | dictsort(reverse=true)
nothing | items | list
1 | string, none | string, [1] | string, 'a' | string
'abc' | list, {'a': 1} | list, (1, 2) | list
'<b>' | safe
'a\nb\n\nc' | indent, 'a\nb' | indent(2), 'a\nb\n\nc' | indent(2, true), 'a\n\nb' | indent(1, blank=true), 'a\nb' | indent('> ')
'aXb' | replace('X', '-'), 'aab' | replace('a', 'x', 1)
'%s-%d' | format('a', 3), '%s' % 'x', '%s %s' % (1, 'b'), '%d%%' % 3.7, '%r' % 'q'
'%s %s' % 1
messages | tojson
messages[0] | tojson(indent=2)
{'a': [1, 2.5, none, true, 'é"\n\t\\/\u0001'], 'b': {}, 'c': []} | tojson
{'a': [1, 2.5, none, true, 'é"\n\u0001🙂'], 'b': {}, 'c': [[]]} | tojson(indent=4)
'é🙂\x7f' | tojson(ensure_ascii=true)
{'b': 1, 'a': [1, 2]} | tojson(separators=(',', ':')), {'b': 1, 'a': 2} | tojson(sort_keys=true)
{1: 'a', true: 'b', none: 'c', 2.5: 'd'} | tojson
1e16 | tojson, (1, 2) | tojson
nothing | tojson
range(3) | list, range(1, 4) | list, range(5, 0, -2) | list, range(0) | list
range(3, 1) | length
dict(a=1, b='x'), dict({'z': 0}, a=1), dict()
namespace(a=1).a, namespace({'q': 2}).q
namespace(a=1).b is defined
namespace is defined, range is defined
{'items': 1}['items']
messages.x is defined
'a' ~ 1 ~ none ~ true ~ 1.5 ~ [1]
[1, 2, 3][true]
{'a': 1, 'a': 2}
{1: 'a'}[1], {1: 'a'}[1.0], {1: 'a'}[true]
'a' * -1, [1] * 0, 3 * 'ab'
1 + 'a'
'a' + 1
'a' - 'b'
[1] + (2,)
1 / 0
1 // 0
1 % 0
5 % 2 == 1 and 'odd'
{}.x is defined
9223372036854775807
9223372036854775806 + 1
add_generation_prompt
bos_token ~ eos_token
tools is none, documents is none, tools is defined
'a' | attr('x') is defined, messages[0] | attr('role') is defined
messages[0] is mapping and messages[0].content is string
(messages | first).role, (messages | last).content
messages | map(attribute='content') | map('length') | list
messages[1:] | length, messages[:-1] | length, messages[::2] | map(attribute='role') | join('/')
loop is defined
'x' if messages | length == 1 and messages[0].role == 'user' else 'y'
raise_exception('no')
[[1, 'b'], [1, 'a']] | sort
(1, 2) + (3,)
'%' ~ '}' ~ '}}' ~ '{{'
{'a': {'b': {'c': 1}}}['a']['b'].c
[1, 2, 3] | length is divisibleby 3
'abc' | length > 2
not 'a' == 'b'
-5 | string | length
+3
- 3 + 5
1 -1
2 * -3
"multi
line"
"a" "b" ~ 'c'
'a' not in 'b' and 'b' not in 'a'
(1, 2) is iterable and (1, 2) is sequence
{'k': 'v'}.items() is iterable
messages is iterable and messages is not string and messages is not mapping
'a,b;c' | replace(',', ';') | trim(';')
['x'] | first | upper
[] or {} or 0 or 'last'
"{{ not a tag }}"
[1,2,3,] | list
{'a': 1,}
"""


def render(template, conversation, gen, thinking):
    names = {"messages": CONVERSATIONS[conversation], "tools": None, "documents": None,
             "add_generation_prompt": gen, "bos_token": "<s>", "eos_token": "</s>"}
    if thinking is not None:
        names.update(enable_thinking=thinking, thinking=thinking)
    return environment().from_string(template).render(**names)


def case(template, conversation="multi", gen=True, thinking=None):
    made = {"template": template, "conversation": conversation, "gen": gen, "thinking": thinking}
    try:
        made["text"] = render(template, conversation, gen, thinking)
    except Exception as error:  # whatever Jinja or Python says: a refusal
        made["refuses"] = type(error).__name__
    return made


def expressions():
    pending = ""
    for line in EXPRESSIONS.strip("\n").split("\n"):
        pending += line
        if pending.count('"multi') and not pending.endswith('line"'):
            pending += "\n"
            continue
        yield pending
        pending = ""


def main():
    cases = []
    for template in TEMPLATES.values():
        for conversation in CONVERSATIONS:
            for gen, thinking in ((True, None), (False, None), (True, False), (True, True)):
                if thinking is not None and "thinking" not in template:
                    continue
                cases.append(case(template, conversation, gen, thinking))
    for expression in expressions():
        cases.append(case("{{ " + expression + " }}"))
    json.dump({"engine": "jinja2 " + jinja2.__version__, "now": NOW,
               "conversations": CONVERSATIONS, "cases": cases},
              sys.stdout, ensure_ascii=False, indent=1)
    print()


main()
