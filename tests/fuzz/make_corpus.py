#!/usr/bin/python3
"""Writes the seeds of the fuzz targets into corpus/NAME: a few inputs of each kind, from which libFuzzer makes its own.
They are kept in the repository, so that a run begins alike everywhere; run this after a format has changed."""
import pathlib
import shutil
import struct

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parent.parent
CORPUS = HERE / "corpus"


def write(target, seeds):
    folder = CORPUS / target
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, data in seeds.items():
        (folder / name).write_bytes(data if isinstance(data, bytes) else data.encode())


# -- texts

EVENTS = {
    "full": '{"id":"e1","user":"u","item":"i9","type":"click","ts":1700000000000,"value":1.5,"list":"00","pos":3}',
    "numbers": '{"user":17,"item":9007199254740993,"type":"other","value":1e-3,"ts":null,"more":[{"a":[1,2,{}]}]}',
    "escapes": '{"user":"u","item":"\\u00e9\\ud83d\\ude00\\n\\"","type":"click"}',
    "utf8": '{"user":"u","item":"\u00fc\u4e2d\U0001f600","type":"click"}',
    "retract": '{"user":"u","type":"retract","ref":"e1"}',
    "forget": '{"user":"u","type":"forget_user"}',
    "impression": '{"user":"u","item":"i","type":"impression","list":"65000000.0000.0000000000000007.00000001","pos":0}',
    "deep": "[" * 33 + "]" * 33,
    "late": '{"user":"u","item":"i","type":"click","ts":1700000300001}',
    "twice": '{"user":"u","user":"v","item":"i","type":"click"}',
}

ITEMS = {
    "full": '{"item":"i","blocked":true,"available_from":0,"available_until":1700000000000,'
            '"categories":["a","b","\u00fc"],"title":"A \\"title\\""}',
    "bare": '{"item":"i"}',
    "nulls": '{"item":"i","categories":null,"title":null,"blocked":null}',
    "tombstone": "",
    "wrong": '{"item":"i","categories":[1,"",["a"]],"title":7}',
}

SETTINGS = {
    "default": (TOP / "configs/freshet.yaml").read_bytes(),
    "compose": (TOP / "configs/compose.yaml").read_bytes(),
    "arms": "kafka: {bootstrap.servers: 'a:1'}\nconsumer: {topic: t}\narms:\n  control: {share: 0.5, control: true}\n"
            "  sgd: {share: 0.5, model: {update: sgd, rank: 16}}\n  look: {share: 0.1, shadow: true}\nexperiment: {id: e}\n",
    "events": "events:\n  click: {weight: 1, half_life: 30d}\n  buy: {weight: 5, value: log, cap: 10, hides: true}\n"
              "  default: {weight: 0}\n",
    "kinds": "a: ~\n'b': [1, 2, {c: d}]\n\"e\": |\n  text\n",
    "odd": "x: &a 1\ny: *a\nz: !!int 3\n",
    "twice": "model: {rank: 8}\nmodel: {rank: 9}\n",
    "numbers": "state: {map: 64GiB, commit: 1s500ms, hot: -1}\nlists: {n: 1e9, pace: .5}\n",
}

TARGETS = {
    "explain": b"\x06/api/users/u%2F1/explain/i9?arm=default",
    "whatif": b"\x07/api/users/u/whatif?item=a&item=b+c&type=click",
    "similar": b"\x02/api/items/i%C3%A9/similar?n=10",
    "metrics": b"\x00/metrics",
    "page": b"\x02/assets/dashboard.css",
    "deep": b"\x02/a/b/c/d/e/f/g/h/i",
    "bad": b"\x02/%zz?%00=%1",
    "many": b"\x02/api/arms?" + b"a=1&" * 70,
    "address4": b"\x00127.0.0.1:7878",
    "address6": b"[[::1]:65535",
    "host": b"localhost:80",
}

HTTP = {
    "get": b"\x00GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    "token": b"\x01GET /api/users/u/list HTTP/1.1\r\nHost: 127.0.0.1:1\r\nAuthorization: Bearer right\r\n\r\n",
    "basic": b"\x00GET / HTTP/1.1\r\nHost: [::1]\r\nAuthorization: Basic YTpyaWdodA==\r\nIf-None-Match: \"1\"\r\n\r\n",
    "post": b"\x02POST /api/users/u/whatif?arm=a HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 13\r\n\r\nitem=a&item=b",
    "chunked": b"\x00POST /a HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n"
               b"Transfer-Encoding: chunked\r\n\r\n3\r\na=1\r\n0\r\n\r\n",
    "pipelined": b"\x00GET /a HTTP/1.1\r\nHost: localhost\r\n\r\nHEAD /b HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "foreign": b"\x00GET / HTTP/1.1\r\nHost: elsewhere.example\r\n\r\n",
    "json": b"\x00POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
    "old": b"\x00GET / HTTP/1.0\r\n\r\n",
    "none": b"\x00\x16\x03\x01\x02\x00\x01",
}


def lines(*texts):
    return b"\x00" + "".join(text + "\n" for text in texts).encode()


CONTROL = {
    "figures": lines('{"cmd":"status"}', '{"cmd":"metrics"}', '{"cmd":"overview"}', '{"cmd":"arms"}'),
    "lists": lines('{"cmd":"recommend","user":"u"}', '{"cmd":"recommend","user":"[]"}', '{"cmd":"publish","all":true}',
                   '{"cmd":"publish","user":"u"}'),
    "explain": lines('{"cmd":"explain","user":"u","item":"i"}', '{"cmd":"similar","item":"i","n":3,"arm":"default"}'),
    "whatif": lines('{"cmd":"whatif","user":"u","items":["a","b"],"type":"click"}', '{"cmd":"whatif","user":"u","items":{}}'),
    "change": lines('{"cmd":"rollback","generation":3}', '{"cmd":"stop_arm","arm":"a"}', '{"cmd":"resume_arm","arm":"a"}',
                    '{"cmd":"reload"}', '{"cmd":"trained"}', '{"cmd":"commit"}'),
    "receipt": lines('{"cmd":"receipt","user":"u","partition":2}', '{"cmd":"receipt","partition":-1}'),
    "wrong": lines("{", "[]", '{"cmd":7}', "", '{"cmd":"none"}'),
    "leaves": b'\x01{"cmd":"publish","all":true}\n{"cmd":"status"}\n',
    "cut": b'\x00{"cmd":"status"',
}

HEADER = "ts_ms\tuser\titem\tevent\tvalue\n"
RECORDING = {
    "tsv": "\x00" + HEADER + "1700000000000\tu1\ti1\tclick\t1\n1700000000000\tu2\ti1\tbuy\t2.5e0\n",
    "shuffled": "\x08" + HEADER + "".join(f"17\tu{n}\ti{n}\tclick\t1\n" for n in range(9)) + "18\tu\ti\tclick\t1",
    "json": "\x00" + '{"ts":1700000000000,"user":"u","item":7,"type":"click"}\n\n{"ts":1,"user":1,"type":"forget_user"}\r\n',
    "zstd": "\x02" + HEADER + "1\tu\ti\tclick\t1\n",
    "items": "\x01item\ttitle\ni1\tA title\ni2\n",
    "items_json": "\x01" + '{"item":"i","title":"t"}\n',
    "items_zstd": "\x03item\ttitle\ni1\tA title\n",
    "not_zstd": b"\x04\x28\xb5\x2f\xfd\x24\x05\x29\x00\x00hello\x0b\x0c\x0d\x0e",
    "bad": "\x00" + HEADER + "1\tu\n",
}

GREETING, META, LOST, NUMBER, STORED, OLDER, NIL, LIST, WRONG_TYPE, NO_SCRIPT, READ_ONLY, ERROR, NESTED, HUGE, OTHER, ODD = range(16)
SEND, GET, FAIL = 32, 33, 34


def raw(data):
    return bytes([64 + len(data)]) + data


REDIS = {
    "up": bytes([GREETING, META, NUMBER, NUMBER, SEND, STORED, NUMBER, OLDER, NUMBER, STORED, NUMBER, STORED, NUMBER]),
    "lost": bytes([GREETING, LOST, NUMBER, NUMBER, GET, LIST, GET, NIL, SEND, WRONG_TYPE, NUMBER, FAIL]),
    "no_script": bytes([GREETING, META, NUMBER, NUMBER, SEND, NO_SCRIPT, NUMBER, GREETING, READ_ONLY]),
    "greeting_refused": bytes([ERROR, ERROR]),
    "other": bytes([GREETING, OTHER, NUMBER, META, NUMBER]),
    "odd": bytes([GREETING, ODD, NUMBER]),
    "nested": bytes([GREETING, NESTED, HUGE]),
    "raw": raw(b"$40\r\n" + b"a" * 40 + b"\r\n+PONG\r\n") + raw(b"*2\r\n$-1\r\n") + raw(b"+7\r\n:1\r\n:2\r\n"),
    "split": raw(b"$4") + raw(b"0\r\n" + b"a" * 40) + raw(b"\r\n+PO") + raw(b"NG\r\n"),
    "get_when_away": bytes([GET, SEND, FAIL]),
}


# -- a generation file

def generation(ids, rank=2, manifest=None, factors=None):
    manifest = manifest if manifest is not None else (
        '{"number":1,"objective":"ials","rank":%d,"w0":0.1,"lambda":0.01,"lambda_scaling":"none","alpha":1,"seed":"00ff",'
        '"iterations":3,"weights":{"taste":1,"trend":0.5,"trend_half_life":"1w","rho":0.9,"together":0.1,"together_rho":0.8,'
        '"together_horizon":"1d","together_direction":"both"},"figures":{"users":1,"ndcg20":null},'
        '"cutoff":[{"partition":0,"next_offset":7}],"gate":"first"}' % rank).encode()
    ids_at = (80 + len(manifest) + 7) // 8 * 8
    begins, text = [0], b""
    for name in ids:
        text += name
        begins.append(len(text))
    table = struct.pack(f"<{len(begins)}I", *begins) + text
    factors_at = (ids_at + len(table) + 63) // 64 * 64
    stride = 16
    if factors is None:
        factors = b"".join(struct.pack("<16f", *([0.5 + i] * rank + [0] * (16 - rank))) for i in range(len(ids)))
    header = struct.pack("<8sIIQQQIIQQQQ", b"FRESHGEN", 1, 0x01020304, 0, factors_at + len(factors), len(ids), rank, stride,
                         80, len(manifest), ids_at, factors_at)
    body = header + manifest
    body += bytes(ids_at - len(body)) + table
    return b"\x03" + body + bytes(factors_at - len(body)) + factors


GENERATION = {
    "two": generation([b"a", b"b"]),
    "none": generation([]),
    "five": generation([b"a", b"ab", b"b", b"ba", b"c"], rank=3),
    "unordered": generation([b"b", b"a"]),
    "nan": generation([b"a"], factors=struct.pack("<16f", float("nan"), *([0] * 15))),
    "no_manifest": generation([b"a"], manifest=b"{}"),
    "cut": generation([b"a"])[:60],
}


# -- a state: records of the tables of enum state_db

META_, TYPES, ITEMS_, CATALOG, USERS, SUMS, PAIRS, JOURNAL, TRIALS, PARTITIONS, DEAD = range(11)
RAW, OF_EVENTS, OF_ITEMS = range(3)


def record(table, kind, key, value):
    return struct.pack("<BBB", table, kind, len(key)) + key + struct.pack("<H", len(value)) + value


def interaction(ts, offset, item, kind=0):
    return struct.pack("<qqdQIHH", ts, offset, 1.0, 7, item, kind, 0)


def user(version=2, interactions=(), seen=(), dedup=(), shown=(), items=()):
    arrays = b"".join(interaction(*each) for each in interactions)
    arrays += b"".join(struct.pack("<QII", 1, item, 0) for item in seen)
    arrays += b"".join(struct.pack("<Q", one) for one in dedup)
    if version == 2:
        arrays += b"".join(struct.pack("<qII", 5, item, 1) for item in shown)
    arrays += struct.pack(f"<{len(items)}I", *items)
    arrays += bytes(-len(arrays) % 8)
    more = struct.pack("<QII", 0, len(shown), 0) + struct.pack("<QqIIIId", 1, 0, 2, 1, 1, 0, 0.5) if version == 2 else b""
    head_bytes = 64 + len(more)
    head = struct.pack("<IHHIIIIqQqqII", head_bytes + len(arrays), version, 0, len(interactions), len(seen), len(dedup),
                       len(items), 1700000000000, len(interactions), 3, -1, 1, 0)
    return head + more + arrays


def big(number, size=4):
    return number.to_bytes(size, "big")


def pairs_table(applied, neighbours):
    data = struct.pack("<qII", applied, len(neighbours), 0)
    data += b"".join(struct.pack("<qff", 5, 1, 0.5) for _ in neighbours)
    data += b"".join(struct.pack("<ff", 1, 0.5) for _ in neighbours)
    return data + struct.pack(f"<{len(neighbours)}I", *neighbours)


def pairs_event(ts, offset, item, before):
    return struct.pack("<qqII", ts, offset, item, len(before)) + struct.pack(f"<{len(before)}I", *before)


def catalog(title=b"A", categories=(b"x",)):
    head = struct.pack("<qqIIII", -2 ** 63, 2 ** 63 - 1, 0, len(title), len(categories), 0)
    return head + title + b"".join(struct.pack("<I", len(each)) + each for each in categories)


NAMES = b"".join(record(ITEMS_, RAW, big(n), b"i%d" % (n + 1)) for n in range(3))
TYPE_NAMES = record(TYPES, RAW, b"\x00\x00", b"click") + record(TYPES, RAW, b"\x00\x01", b"view")
PARTITION = record(PARTITIONS, OF_EVENTS, b"", struct.pack("<qq9Q", 10, 1700000000000, 5, 0, 0, 0, 0, 0, 0, 0, 1))
SERIES = struct.pack("<QQQII", 0, 2, 3, 1, 0)
WHOLE_META = (record(META_, RAW, b"epoch", struct.pack("<I", 7)) + record(META_, RAW, b"swap", struct.pack("<I", 1)) +
              record(META_, RAW, b"nonce", b"a" * 32 + b"\0") + record(META_, RAW, b"cluster_id", b"c" * 22 + bytes(106)) +
              record(META_, RAW, b"partition_count", struct.pack("<i", 1)) + record(META_, RAW, b"series", SERIES) +
              record(META_, RAW, b"note:experiment", b'{"stopped":[]}'))
BASE = WHOLE_META + NAMES + TYPE_NAMES + PARTITION
SUM = struct.pack("<qQ7d", 1700000000000, 3, *([1.5] * 7))
TRIAL = struct.pack("<4Q6dqq", 1, 2, 1, 1, 0.5, 4, 2, 1, 1, 0.25, 0, 5)
JOURNAL_RECORD = struct.pack("<II", 4, 0) + pairs_event(5, 3, 1, [0, 2]) + pairs_event(6, 4, 2, [1])

STATE = {
    "whole": BASE + record(CATALOG, RAW, big(0), catalog()) +
             record(USERS, OF_EVENTS, b"u1", user(2, [(5, 1, 0), (6, 2, 1)], [0, 1], [9], [2], [0, 1, 2])) +
             record(SUMS, OF_EVENTS, big(1), SUM) + record(TRIALS, OF_EVENTS, big(1, 8), TRIAL),
    "format1": BASE + record(USERS, OF_EVENTS, b"u1", user(1, [(5, 1, 0)], [0], [9, 8], (), [1, 2])),
    "format2_partition": WHOLE_META + NAMES + record(PARTITIONS, OF_EVENTS, b"", struct.pack("<qq8Q", 3, 5, *range(8))),
    "old_meta": record(META_, RAW, b"nonce", b"b" * 33) + record(META_, RAW, b"generation", struct.pack("<Q", 4)) +
                record(META_, RAW, b"gate_refusals", struct.pack("<I", 2)),
    "pairs": BASE + record(PAIRS, OF_EVENTS, big(0), pairs_table(2, [1, 2])) +
             record(JOURNAL, OF_EVENTS, big(3, 8), JOURNAL_RECORD),
    "dead": BASE + record(DEAD, OF_EVENTS, big(4, 8), struct.pack("<I", 2) + b"u1" + b'{"reason":"bad_json"}') +
            record(DEAD, OF_ITEMS, big(5, 8), struct.pack("<I", 2 ** 32 - 1) + b"{}"),
    "forgotten": BASE + record(USERS, OF_EVENTS, b"u1", user(2)[:6] + b"\x01\x00" + user(2)[8:]),
    "empty": b"",
}

if __name__ == "__main__":
    for name, seeds in (("event", EVENTS), ("item", ITEMS), ("settings", SETTINGS), ("target", TARGETS), ("http", HTTP),
                        ("control", CONTROL), ("recording", RECORDING), ("redis", REDIS), ("generation", GENERATION),
                        ("state", STATE)):
        write(name, seeds)
