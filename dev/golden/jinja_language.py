"""Makes Tests/AttuneTextTests/Fixtures/JinjaLanguage.jsonl: small templates with what jinja2 makes of them.

The environment is that of transformers' chat templates. Needs jinja2 and transformers.
Usage: python jinja_language.py > ../../Tests/AttuneTextTests/Fixtures/JinjaLanguage.jsonl
"""

import json
import sys

import jinja2
from transformers.utils import chat_template_utils

CONTEXT = {
    "s": "Hello, Wörld", "e": "", "n": 7, "neg": -7, "f": 2.5, "t": True, "z": None,
    "l": [3, 1, 2], "names": ["b", "A", "c", "a"], "d": {"b": 1, "a": 2, "C": [1, {"x": "y"}]},
    "users": [{"name": "Ann", "age": 30, "tags": ["x"]}, {"name": "bob", "age": 25}, {"name": "Cy", "age": 30}],
    "text": "one two  three\nfour\n\nfive", "html": "<b>\"x\" & 'y'</b>", "uni": "e\u0301 \U0001f600 ß \u4f60",
    "messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yo"}],
}

EXPRESSIONS = r"""
1 + 2 * 3
(1 + 2) * 3
7 // 2
-7 // 2
7 % 3
-7 % 3
7 % -3
-7.5 // 2
-7.5 % 2
7.5 % -2
2 ** 10
2 ** -1
-2 ** 2
2 ** 3 ** 2
7 / 2
6 / 2
1 / 3
1e16
1e15
1.0
1e-4
1e-5
123456789012345680.0
0.1 + 0.2
1e300 * 10
-0.0
5 - 3 - 1
100_000
0x1F + 0b11 + 0o17
1.5e3
'a' 'b'
'a' + 'b'
'a' ~ 1 ~ none ~ true ~ 1.0
'ab' * 3
3 * 'ab'
[1] * 2
[1, 2] + [3]
(1, 2) + (3,)
(1,)
()
[]
{}
{'a': 1, 'b': [1, 2.0, none, true, 'x']}
['it\'s', "say \"hi\"", 'both \' and "']
['\n\t\\', '\x00\x7f', 'é', '\u200b']
{1: 'a', 1.0: 'b', true: 'c'}
1 == 1.0
1 == true
'1' == 1
[1, 2] == [1, 2]
(1, 2) == [1, 2]
{'a': 1, 'b': 2} == {'b': 2, 'a': 1}
1 < 2 < 3
1 < 3 < 2
3 > 2 > 1
1 != 2
'a' < 'b'
'Z' < 'a'
[1, 2] < [1, 3]
not true
not not 5
true and false or true
1 and 2
0 or 'x'
'' or none
none and 1
1 in [1, 2]
'l' in s
'x' not in s
'a' in d
3 in (1, 2)
1 in {1: 2}
2 in range(5)
'yes' if t else 'no'
'yes' if e else 'no'
'yes' if e
('a' if e else 'b' if z else 'c')
s[0]
s[-1]
s[1:4]
s[::-1]
s[::2]
s[-3:]
s[:-3]
s[10:2:-2]
s[100:]
uni[1]
uni[::-1]
uni|length
l[0]
l[-1]
l[::-1]
l[1:]
l[:2]
l[5] is defined
d['b']
d.b
d.C[1].x
d.missing is undefined
d['missing']|default('dflt')
missing
missing|default(3)
missing|upper
missing|string|length
missing|list
missing == missing
missing is none
e|default('x')
e|default('x', true)
z|default('x')
z|default('x', boolean=true)
d.items()
d.keys()|list
d.values()|list
d.get('a')
d.get('nope')
d.get('nope', 5)
d|length
d|list
d|dictsort
d|dictsort(true)
d|dictsort(by='value')|length
{'b': 2, 'a': 3}|dictsort(by='value', reverse=true)
d|items|list
d.items()|length
s.upper()
s.lower()
s.title()
s.capitalize()
s.swapcase()
'ǆ'.title()
'ß'.upper()
'ΑΣ ΑΣΑ'.lower()
s.split()
s.split(',')
s.split(', ', 1)
'a,b,c'.split(',', 1)
'a,b,c'.rsplit(',', 1)
' a  b c '.split()
' a  b c '.split(' ')
' a  b c '.split(none, 1)
' a  b c '.rsplit(none, 1)
' a  b c'.rsplit(none, 2)
''.split()
''.split(',')
text.splitlines()
text.splitlines(true)
'a\r\nb\rc\x0bd'.splitlines()
'  x '.strip() ~ '|'
'  x '.lstrip() ~ '|'
'  x '.rstrip() ~ '|'
'xxhixx'.strip('x')
'abcba'.lstrip('ab')
'abcba'.rstrip('ab')
'\u3000x\u00a0'.strip()
s.startswith('He')
s.startswith(('x', 'He'))
s.endswith('ld')
s.endswith('Wörl', 0, -1)
s.startswith('Wö', 7)
s.find('l')
s.find('l', 4)
s.rfind('l')
s.find('zz')
s.index('W')
s.count('l')
'aaa'.count('aa')
'aaa'.count('')
s.replace('l', 'L')
s.replace('l', 'L', 1)
'abc'.replace('', '-')
'abc'.replace('', '-', 2)
'aaa'.replace('aa', 'b')
', '.join(['a', 'b'])
'-'.join('abc')
'a-b-c'.partition('-')
'a-b-c'.rpartition('-')
'abc'.partition('-')
'TestHook'.removeprefix('Test')
'TestHook'.removesuffix('Hook')
'TestHook'.removeprefix('x')
'42'.zfill(5)
'-42'.zfill(5)
'ab'.center(7, '*')
'abc'.center(6, '*')
'ab'.ljust(4) ~ '|'
'ab'.rjust(4) ~ '|'
'a\tb'.expandtabs(4)
'123'.isdigit()
'12a'.isdigit()
'²'.isdigit()
'²'.isdecimal()
'½'.isnumeric()
'abc'.isalpha()
'ab1'.isalnum()
'  '.isspace()
''.isspace()
'ABC'.isupper()
'aBc'.islower()
'Hello World'.istitle()
'a_1'.isidentifier()
'é'.isascii()
'{} and {}'.format(1, 'x')
'{0}-{1}-{0}'.format('a', 'b')
'{a}/{b}'.format(a=1, b=2)
'{0[x]} {1.name}'.format({'x': 5}, users[0])
'{:>5}|{:<5}|{:^5}|{:*^5}'.format('a', 'b', 'c', 'd')
'{:05d} {:+d} {:x} {:#x} {:b} {:o}'.format(42, 42, 255, 255, 5, 8)
'{:,} {:_}'.format(1234567, 1234567)
'{:.2f} {:8.3f} {:e} {:g} {:%}'.format(3.14159, 2.5, 12345.678, 0.0001, 0.25)
'{!r} {!s}'.format('a', 'a')
'{{}}'.format()
'{:{}}|'.format('x', 5)
'{:.3}'.format('abcdef')
'%s %d %f' % ('a', 1, 2.5)
'%5s|%-5s|%05d|%+d' % ('a', 'b', 42, 7)
'%.2f %x %X %o %e %g' % (3.14159, 255, 255, 8, 12345.678, 0.00001)
'%s' % 'x'
'%s' % [1, 2]
'%(a)s %(b)d' % {'a': 1, 'b': 2}
'%r %%' % 'q'
'%c%c' % ('a', 98)
'%*d' % (5, 42)
'%d' % 3.99
'%s-%s'|format('a', 'b')
'%(x)s'|format(x=3)
l|sort
l|sort(reverse=true)
names|sort
names|sort(case_sensitive=true)
users|sort(attribute='name')|map(attribute='name')|list
users|sort(attribute='age,name')|map(attribute='name')|join(',')
users|map(attribute='age')|list
users|map(attribute='nope', default='-')|list
users|map('length')|list
names|map('upper')|join
users|selectattr('age', 'equalto', 30)|map(attribute='name')|list
users|selectattr('tags')|list|length
users|selectattr('tags', 'defined')|list|length
users|rejectattr('age', '==', 30)|map(attribute='name')|list
users|rejectattr('tags')|list|length
l|select('odd')|list
l|reject('odd')|list
l|select('>', 1)|list
l|select('in', [1, 2])|list
[0, 1, '', 'a']|select|list
names|unique|list
names|unique(case_sensitive=true)|list
l|min
l|max
names|min
users|max(attribute='age')
[]|max
l|sum
users|sum(attribute='age')
[1.5, 2]|sum(start=10)
l|first
l|last
''|first
[]|first
s|first
s|last
l|reverse|list
s|reverse
l|join('-')
l|join
users|join(', ', attribute='name')
[1, none, missing]|join(',')
l|length
s|length
s|count
s|upper
s|lower
s|capitalize
'foo bar-baz (qux)'|title
"they're x-men"|title
5|string ~ 'x'
s|list
s|replace('l', '1')
s|replace('l', '1', 1)
5|replace(5, 6)
'  x '|trim ~ '|'
'xxhixx'|trim('x')
12|trim
'ab'|center(6) ~ '|'
text|indent
text|indent(2, true)
text|indent(width='> ', blank=true)
'foo bar baz qux'|truncate(9)
'foo bar baz qux'|truncate(9, true)
'foo bar baz qux'|truncate(11)
'foo bar baz qux'|truncate(11, false, '...', 0)
'foo bar baz qux'|truncate(5, end='…', leeway=0)
'The quick brown fox jumps'|wordwrap(10)
'averyveryverylongword here'|wordwrap(8)
'averyveryverylongword here'|wordwrap(8, false)
'one two\nthree four five'|wordwrap(9)
'well-known state-of-the-art words'|wordwrap(12)
text|wordcount
html|escape
html|e|e
html|forceescape
html|striptags
html|safe
(html|safe) + '<i>'
'<i>' + (html|safe)
'a&b'|escape ~ '<'
'a b/c?d=é'|urlencode
{'a': 'x y', 'b/': 1}|urlencode
{'class': 'a"b', 'n': none, 'id': 3}|xmlattr
-5|abs
(-5)|abs
-2.5|abs
'42'|int
'42.7'|int
'x'|int
'x'|int(-1)
'0x1F'|int(base=16)
'1010'|int(base=2)
' 12 '|int
'1_000'|int
3.99|int
true|int
none|int(5)
'2.5'|float
'abc'|float
'1e3'|float
'inf'|float
'nan'|float
3|float
2.5|round
3.5|round
2.567|round(2)
2.561|round(1, 'ceil')
2.569|round(1, 'floor')
7|round
1234.5|round(-2)
0.15|round(1)
2.675|round(2)
1000|filesizeformat
1|filesizeformat
1536|filesizeformat(true)
123456789|filesizeformat
l|batch(2)|list
l|batch(2, 'x')|list
[1,2,3,4,5,6,7]|slice(3)|list
[1,2,3,4,5,6,7]|slice(3, 0)|list
users|groupby('age')
users|groupby('age')|map(attribute='list')|map('length')|list
users|groupby('age')|map('first')|list
d|tojson
d|tojson(indent=2)
{}|tojson(indent=2)
[]|tojson
[1, [], {}]|tojson(indent=4)
d|tojson(sort_keys=true)
{'b': {'d': 1, 'c': 2}, 'a': 3}|tojson(sort_keys=true, indent=1)
d|tojson(separators=(',', ':'))
[1, 2]|tojson(separators=(' ; ', ':'), indent=0)
uni|tojson
uni|tojson(ensure_ascii=true)
'</script>\u2028\x7f\x01"\\'|tojson
[1.0, 1e20, 0.1, true, none, 1]|tojson
{1: 2, true: 3, none: 4, 1.5: 5}|tojson
(1, 2)|tojson
'<>&'|tojson
s is string
n is number
t is number
t is integer
n is integer
f is float
t is boolean
z is none
l is iterable
l is sequence
d is sequence
d is mapping
s is iterable
n is iterable
d.items() is sequence
l|map('string') is sequence
l|map('string') is iterable
missing is defined
missing is iterable
n is odd
n is even
n is divisibleby 7
n is divisibleby(2)
n is eq 7
n is ge 8
n is in [7, 8]
n is sameas 7
z is sameas none
'a' is lower
'A' is upper
true is true
1 is true
false is false
0 is false
range is callable
s is callable
'upper' is filter
'nope' is filter
'odd' is test
s is not none
n is not odd and true
not n is odd
n is greaterthan 3
n is lessthan(3)
n == 7 and s is string or false
range(5)|list
range(2, 8, 3)|list
range(5, 0, -2)|list
range(3)
range(1, 10, 2)
range(5)[1]
range(5)|last
range(0)|list
range(3)|length
dict(a=1, b=2)
dict([('a', 1)])
dict({'a': 1}, b=2)
namespace(a=1).a
namespace(a=1)
cycler('a', 'b').next()
users[0].name
users[0]['age']
users.0.name
users[-1].name
messages[0].role ~ ': ' ~ messages[0]['content']
l.index(2)
l.count(1)
(1, 2, 1).count(1)
'%s' % none
none|string
true|string|lower
1.0|string
[1.0, 'a']|string
(s|attr('upper'))()
d|attr('b')
'a' if missing is defined else missing
1 if true else missing.x
(missing and missing.x) or 'ok'
l|list == [3, 1, 2]
{'a': {'b': {'c': 1}}}.a.b.c
'a.b'.split('.')[0]
s.upper().lower().title()
(s|upper)[0:2]
[x for x in l]
1 +
'abc
l.append(1)
d.update({'a': 1})
d.pop('a')
s.__class__
missing.attr
missing + 1
missing()
d.nope.deeper
z.attr
z['x']
z + 'a'
'a' + 1
1 + 'a'
[1] + 'a'
n.foo.bar
n()
1 / 0
1 // 0
1 % 0
1.0 / 0
1 < 'a'
none < 1
'a' in 1
1 in 'abc'
[1]|join|nofilter
1 is notest
{[]: 1}
l|first|upper|length
for
l|map('nofilter')|list
(l|map('string'))|tojson
missing|tojson
raise_exception('own words ☃')
[1]['a']
'abc'.index('x')
l.index(9)
'%d' % 'x'
'%s %s' % 'x'
'%s' % (1, 2)
'{}'.format()
'{x}'.format(1)
'{:d}'.format('x')
d|dictsort(by='x')
users|map('attr', 'name')|list
5|items|list
5|length
5|list
range(200000)
range(1, 2, 0)
cycler()
namespace(_a=1)
'a'.join([1])
'a' is divisibleby 2
"\N{DASH}"
{'a' 1}
(1, 2
a b
1..2
x.
s|upper|
{{ 1 }}
loop.index
'a'|int|string ~ "'"
"tab\tnl\nq\"u'\u00e9\x41\101\z"
'x'.format_map({'a': 1})
strftime_now('%d %b %Y')
strftime_now('%Y-%m-%d %H:%M:%S %A %a %B %y %j %p %I %-d %e %-m %U %w %%')
"""

TEMPLATES = [
    "a\n{% if true %}\nb\n{% endif %}\nc\n",
    "a\n  {% if true %}  \n  b\n  {%- endif %}\nc\n\n",
    "  {%+ if true %}x{% endif +%}\n y",
    "a {#- c -#} b {# d #} e\n   {# f #}\ng",
    "a  {{- 1 -}}  b {{ 2 }}\n",
    "{% raw %}{{ x }} {% y %}{% endraw %}\nz",
    "  {%- raw -%}  {{ x }}  {%- endraw -%}  z",
    "{{ '}}' }}{{ {'a': {'b': 1}}['a']['b'] }}{{ \"%}\" }}",
    "a\r\nb\rc\n{{ 'x\r\ny' }}",
    "{% for x in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}"
    "{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.depth }}{{ loop.depth0 }};{% endfor %}",
    "{% for x in l %}{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }} {% endfor %}",
    "{% for x in l %}{{ loop.previtem is defined }}{{ loop.nextitem is defined }}{% endfor %}",
    "{% for x in l %}{{ loop.cycle('a', 'b') }}{{ loop.changed(x > 1) }}{% endfor %}",
    "{% for x in l if x > 1 %}{{ x }}{{ loop.index }}/{{ loop.length }} {% else %}none{% endfor %}",
    "{% for x in l if x > 9 %}{{ x }}{% else %}none{% endfor %}",
    "{% for x in [] %}{{ x }}{% else %}empty{% endfor %}",
    "{% for k, v in d.items() %}{{ k }}={{ v }},{% endfor %}",
    "{% for k, v in d|dictsort %}{{ k }}={{ v }},{% endfor %}",
    "{% for (a, (b, c)) in [(1, (2, 3))] %}{{ a }}{{ b }}{{ c }}{% endfor %}",
    "{% for a, b in [(1, 2, 3)] %}{% endfor %}",
    "{% for x in l %}{% if x == 1 %}{% break %}{% endif %}{{ x }}{% endfor %}",
    "{% for x in l %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% endfor %}",
    "{% for x in l %}{% break %}{% else %}else{% endfor %}",
    "{% for x in l %}{% if loop.last %}{% break %}{% endif %}{% else %}else{% endfor %}",
    "{% for x in l %}{% continue %}{% else %}else{% endfor %}",
    "{% break %}",
    "{% for x in [1, [2, [3]]] recursive %}{% if x is iterable %}({{ loop(x) }}){% else %}{{ x }}.{{ loop.depth }}"
    "{% endif %}{% endfor %}",
    "{% for x in [1] %}{{ loop([2]) }}{% endfor %}",
    "{% set x = 1 %}{% for i in l %}{% set x = x + i %}{{ x }} {% endfor %}{{ x }}",
    "{% set ns = namespace(x=0) %}{% for i in l %}{% set ns.x = ns.x + i %}{% endfor %}{{ ns.x }}{{ ns.y is defined }}",
    "{% set x = 1 %}{% if true %}{% set x = 2 %}{% endif %}{{ x }}",
    "{% set a, b = 1, 2 %}{{ b }}{{ a }}",
    "{% set x %}in {{ n }} block{% endset %}[{{ x }}]",
    "{% set x | upper | replace('B', 'c') %}a b{% endset %}{{ x }}",
    "{% set d.x = 1 %}",
    "{% set ns = namespace() %}{% set ns.a %}blk{% endset %}{{ ns.a }}",
    "{% with a = 1, b = 2 %}{{ a + b }}{% set c = 5 %}{% endwith %}{{ a is defined }}{{ c is defined }}",
    "{% with %}{% set q = 1 %}{{ q }}{% endwith %}",
    "{% filter upper %}abc {{ s }}{% endfilter %}",
    "{% filter replace('a', 'b') | upper %}aa{% endfilter %}",
    "{% macro m(a, b=2, c='x') %}{{ a }}-{{ b }}-{{ c }};{% endmacro %}{{ m(1) }}{{ m(1, c=3) }}{{ m(b=1, a=0) }}",
    "{% macro m(a) %}{{ a }}{% endmacro %}{{ m() }}|{{ m(1, 2) }}",
    "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(b=1) }}",
    "{% macro m(a) %}{{ a }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, 3, k=4) }}",
    "{% macro m(a, b=a ~ '!') %}{{ b }}{% endmacro %}{{ m('x') }}",
    "{% macro m() %}[{{ caller() }}]{% endmacro %}{% call m() %}body {{ n }}{% endcall %}",
    "{% macro m(x) %}[{{ caller(x, 2) }}]{% endmacro %}{% call(a, b=3) m(1) %}{{ a }}{{ b }}{% endcall %}",
    "{% macro m() %}{{ caller is defined }}{% endmacro %}{{ m() }}",
    "{% macro fact(k) %}{{ k * (fact(k - 1)|int) if k > 1 else 1 }}{% endmacro %}{{ fact(10) }}",
    "{% set v = 1 %}{% macro m() %}{{ v }}{% endmacro %}{% set v = 2 %}{{ m() }}",
    "{% macro m(a, b) %}{% endmacro %}{{ m.name }}{{ m.arguments }}{{ m.catch_kwargs }}{{ m.catch_varargs }}{{ m.caller }}",
    "{% macro m() %}  x  {% endmacro %}{{ m()|trim }}|{{ m() ~ 'y' }}|{{ m()|length }}",
    "{% set x = l|map('string') %}{{ x|list|length }}{{ x|list|length }}",
    "{% set x = users|selectattr('nope') %}{{ 'T' if x else 'F' }}{{ x|list }}",
    "{% set j = joiner(', ') %}{% for x in l %}{{ j() }}{{ x }}{% endfor %}",
    "{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}{{ c.current }}{{ c.reset() }}{{ c.next() }}",
    "{% print 1, 'a' %}",
    "{% if n is defined and n > 5 %}big{% elif n %}small{% else %}none{% endif %}",
    "{% if missing %}a{% elif not missing %}b{% endif %}",
    "{% if x is defined %}\n  a\n{%- else %}\n  b\n{% endif %}\n",
    "{% generation %}abc{{ n }}{% set q = 1 %}{% endgeneration %}{{ q is defined }}",
    "{{ 1, 2 }}",
    "{% for m in messages[::-1] %}{{ m.role }}{% endfor %}",
    "{% for m in messages %}{{ m['role'] }}:{{ m['content'] }}{% if not loop.last %}{{ '\\n' }}{% endif %}{% endfor %}",
    "{%- for i in range(messages|length) -%}{{ messages[i].content }}{%- endfor -%}",
    "{% for x in 'añ😀' %}[{{ x }}]{% endfor %}",
    "{% for x in missing %}{{ x }}{% else %}nothing{% endfor %}",
    "{% for x in n %}{% endfor %}",
    "{% for a in l %}{% for b in l %}{{ loop.index }}{% endfor %}{{ loop.index }} {% endfor %}",
    "{% set x = 5 %}{% macro m() %}{% set x = 6 %}{{ x }}{% endmacro %}{{ m() }}{{ x }}",
    "{{ raise_exception('no: ' ~ n) }}",
    "{% unknown %}",
    "{% if true %}",
    "{% endif %}",
    "{% for x in %}{% endfor %}",
    "{{ 1 ",
    "{# never closed",
    "{% raw %}x",
    "{% macro m(a=1, b) %}{% endmacro %}",
    "{% set 5 = 1 %}",
    "{{ ) }}",
    "{{ ] }}",
    "{{ a.b.c }}",
    "text } } %} }} #} only",
    "{{ '{{ x }}' }}{% if '{% x %}' %}ok{% endif %}",
    "{{ d|nofilter }}",
    "{% if false %}{{ d|nofilter }}{% endif %}ok",
    "{{ {'a':1,}.a }}{{ [1,2,][1] }}{{ (1,)[0] }}",
    "{{ dict(*[[('k', 1)]], **{'m': 2}) }}",
    "{{ 'a' if n > 5 else 'b' if n > 3 else 'c' }}",
    "x\n{%- set a = 1 -%}\n y",
    "\n\n  {% set a = 1 %}\n\n  b\n",
    "{%if t%}a{%endif%}{{n}}{#c#}",
    "{% set tools_in = true %}{% if not tools_in is defined %}x{% endif %}y",
    "{{ messages | selectattr('role', 'equalto', 'user') | map(attribute='content') | first }}",
    "{% set ns = namespace(found=false) %}{% for m in messages %}{% if m.role == 'assistant' %}{% set ns.found = true %}"
    "{% endif %}{% endfor %}{{ ns.found }}",
]


def environment():
    template = chat_template_utils._compile_jinja_template("x")
    env = template.environment
    env.globals["strftime_now"] = lambda fmt: __import__("datetime").datetime(2025, 3, 4, 9, 6, 53).strftime(fmt)
    return env


def main():
    env = environment()
    print(json.dumps({"context": CONTEXT}))
    sources = ["{{ " + line + " }}" for line in EXPRESSIONS.strip().split("\n")] + TEMPLATES
    for source in sources:
        row = {"source": source}
        try:
            row["expected"] = env.from_string(source).render(**CONTEXT)
        except jinja2.TemplateSyntaxError as error:
            row["error"] = {"type": "syntax", "message": str(error)}
        except Exception as error:  # every failure of the oracle is a result
            row["error"] = {"type": type(error).__name__, "message": str(error)}
        print(json.dumps(row))


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8", newline="\n")
    main()
