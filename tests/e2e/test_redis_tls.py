#!/usr/bin/env python3
"""TLS to a real Redis, with certificates made here; and every way in which it is refused, said in
clear words, while learning goes on."""

import pathlib
import re
import shutil
import sys

import services
from certificates import Authority
from harness import BINARY, EVENTS_FILE, PARTITIONS, ROOT, EndToEnd, main

sys.path.insert(0, str(ROOT / "tests" / "faults"))

from proxy import Proxy  # pylint: disable=wrong-import-position

EVENTS = 6000
OUTAGE_S = 60
USER, PASSWORD = "freshet", "a-password-of-the-test"


class TlsRedis(services.Redis):
    """Our own commands go to the plain port, freshet's to tls_port."""

    def __init__(self, folder, authority):
        super().__init__(folder)
        self.tls_port = services.free_port()
        self.authority = authority

    def start_with(self, identity, **settings):
        certificate, key = identity
        return self.start(
            tls_port=self.tls_port, tls_cert_file=certificate, tls_key_file=key,
            tls_ca_cert_file=self.authority.ca, **{"tls_auth_clients": "no", **settings},
        )


class TlsTest(EndToEnd):
    needs_kafka = needs_redis = False

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.ours, cls.theirs = Authority(cls.folder, "ours"), Authority(cls.folder, "theirs")
        cls.good = cls.ours.issue("good", "DNS:localhost,IP:127.0.0.1")
        cls.client = cls.ours.issue("client", "DNS:freshet")
        names = ["tls-events", "tls-items", "tls-events.dead"]
        cls.kafka = services.Broker(cls.folder, BINARY, names, PARTITIONS).start()
        cls.addClassCleanup(services.stop, cls.kafka.process)

    def setUp(self):
        folder = pathlib.Path(self.folder) / "server"
        folder.mkdir()
        self.addCleanup(shutil.rmtree, folder)
        self.redis = TlsRedis(folder, self.ours)
        self.addCleanup(self.redis.stop)

    def again(self, identity, **settings):
        """The server, back on its port as another."""
        self.redis.kill()
        self.redis.start_with(identity, **settings)

    def wait_why(self, freshet, *words):
        said = freshet.wait(
            lambda s: not s["redis"]["up"] and all(word in s["redis"]["why"] for word in words),
            f"down: {words}", OUTAGE_S,
        )
        return said["redis"]["why"]

    def wait_up(self, freshet):
        freshet.wait(lambda s: s["redis"]["up"], "up again", OUTAGE_S)

    def test_lists_go_through_tls_and_what_is_wrong_is_said(self):
        self.redis.start_with(self.good)
        proxy = Proxy(self.redis.tls_port)
        self.addCleanup(proxy.close)
        freshet = self.freshet("tls", {
            "redis": {
                "address": proxy.address, "timeout": "1s",
                "tls": True, "tls_ca_file": str(self.ours.ca),
            },
            "lists": {"n": 200, "batch_users": 4096},  # pipelines of megabytes
            "train": {"first_events": 3000},
        })
        freshet.start()
        self.wait_up(freshet)
        freshet.ask("replay", EVENTS_FILE, "--limit", EVENTS)
        freshet.wait_drained(EVENTS)
        freshet.ask("publish", "--all")
        names = sorted(freshet.dump().users)
        lists = self.redis.get_all([freshet.prefix + name for name in names])
        self.assertGreater(sum(len(text) for text in lists if text), 1_000_000)
        self.assertNotIn(None, lists)

        self.refuses_wrong_servers(freshet)
        self.survives_a_stalled_handshake(freshet, proxy)
        self.shows_its_certificate(freshet)
        self.assertEqual(freshet.terminate(), 0)

    def refuses_wrong_servers(self, freshet):
        expired = self.ours.issue("expired", "IP:127.0.0.1", days=-1)
        elsewhere = self.ours.issue("elsewhere", "DNS:redis.example,IP:10.9.8.7")
        man_in_the_middle = self.theirs.issue("good", "DNS:localhost,IP:127.0.0.1")
        self.again(expired)
        self.wait_why(freshet, "certificate has expired, on 2", "renew")
        self.again(elsewhere)
        why = "is for redis.example, 10.9.8.7, not for 127.0.0.1"
        self.wait_why(freshet, why, "redis.tls_server_name")
        self.again(man_in_the_middle)
        self.wait_why(freshet, "signed by an authority", str(self.ours.ca), "redis.tls_ca_file")
        self.redis.kill()
        self.redis.port, self.redis.tls_port = self.redis.tls_port, self.redis.port
        self.redis.start()  # the same port, without TLS
        self.wait_why(freshet, "TLS")
        self.redis.kill()
        self.redis.port, self.redis.tls_port = self.redis.tls_port, self.redis.port
        self.redis.start_with(self.good)
        self.wait_up(freshet)

    def survives_a_stalled_handshake(self, freshet, proxy):
        proxy.stall()
        proxy.cut()
        self.wait_why(freshet, "no TLS handshake within 1000 ms")
        proxy.pass_on()
        self.wait_up(freshet)
        for count in (1, 5, 100, 900):  # in the middle of the server's first words
            seen = proxy.connections
            proxy.cut_after(count)
            proxy.cut()
            services.wait_until(lambda: proxy.connections > seen + 1, "cut", OUTAGE_S)
        proxy.pass_on()
        self.wait_up(freshet)

    def shows_its_certificate(self, freshet):
        self.again(self.good, tls_auth_clients="yes")
        self.wait_why(freshet, "redis.tls_cert_file")
        self.assertEqual(freshet.terminate(), 0)
        certificate, key = map(str, self.client)
        own = {"tls_cert_file": certificate, "tls_key_file": key}
        redis = {**freshet.settings["redis"], **own}
        freshet.write({**freshet.settings, "redis": redis})
        freshet.start()
        self.wait_up(freshet)

    def test_plain_words_to_a_port_with_tls_are_explained(self):
        self.redis.start_with(self.good)
        freshet = self.freshet("plain", {
            "redis": {"address": f"127.0.0.1:{self.redis.tls_port}"},
            "consumer": {"topic": "tls-events", "items_topic": "tls-items"},
        })
        freshet.start()
        self.wait_why(freshet, "does it want redis.tls?")
        self.assertEqual(freshet.terminate(), 0)

    def test_files_that_cannot_be_read_are_named_by_check(self):
        def check(**redis):
            freshet = self.freshet(f"check-{len(self.freshets)}", {"redis": redis})
            done = freshet.run("check")
            return done.returncode, done.stdout + done.stderr

        nothing = str(pathlib.Path(self.folder) / "nothing.pem")
        certificate, key = map(str, self.good)
        locked = pathlib.Path(self.folder) / "locked.key"
        self.ours.openssl("ec", "-in", key, "-aes128", "-passout", "pass:x", "-out", str(locked))
        self.assertEqual(check(tls=True, tls_ca_file=str(self.ours.ca))[0], 0)
        for wrong, said in (
            ({"tls": True, "tls_ca_file": nothing}, f"redis.tls_ca_file: {nothing}: .*No such file"),
            ({"tls_ca_file": certificate}, "redis.tls_ca_file: does nothing without"),
            ({"tls": True, "tls_cert_file": certificate}, "cert_file: needs redis.tls_key_file"),
            ({"tls": True, "tls_key_file": key}, "key_file: needs redis.tls_cert_file"),
            ({"tls": True, "tls_cert_file": certificate, "tls_key_file": str(locked)},
             "redis.tls_key_file: .*without a password"),
        ):
            status, text = check(**wrong)
            self.assertNotEqual(status, 0, wrong)
            self.assertTrue(re.search(said, text), f"{wrong}: {text}")


if __name__ == "__main__":
    main()
