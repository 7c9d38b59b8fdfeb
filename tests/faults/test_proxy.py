#!/usr/bin/env python3
"""The rude proxy is rude in the way that it was told, and polite otherwise."""

import socket
import socketserver
import threading
import time
import unittest

from proxy import FROM_SERVER, TO_SERVER, Proxy

DEADLINE_S = 30
SOON_S = 0.2  # for what must not come
BIG = bytes(range(256)) * 4096  # 1 MiB


class Echo(socketserver.ThreadingTCPServer):
    """Answers every byte with itself, and counts what it heard."""

    allow_reuse_address = daemon_threads = True

    def __init__(self):
        self.heard = 0
        self.news = threading.Condition()
        super().__init__(("127.0.0.1", 0), None)
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def finish_request(self, request, client_address):
        while True:
            try:
                data = request.recv(65536)
                if not data:
                    return
                with self.news:
                    self.heard += len(data)
                    self.news.notify_all()
                request.sendall(data)
            except OSError:
                return

    def wait_heard(self, count):
        with self.news:
            return self.news.wait_for(lambda: self.heard >= count, DEADLINE_S)


class ProxyTest(unittest.TestCase):
    def setUp(self):
        self.echo = Echo()
        self.addCleanup(self.echo.server_close)
        self.addCleanup(self.echo.shutdown)
        self.proxy = Proxy(self.echo.server_address[1])
        self.addCleanup(self.proxy.close)

    def connect(self):
        link = socket.create_connection(("127.0.0.1", self.proxy.port), timeout=DEADLINE_S)
        self.addCleanup(link.close)
        return link

    def ask(self, link, data=b"hello"):
        sender = threading.Thread(target=link.sendall, args=(data,))
        sender.start()
        answer = b""
        while len(answer) < len(data):
            part = link.recv(65536)
            if not part:
                break
            answer += part
        sender.join(DEADLINE_S)
        return answer

    def connected(self):
        link = self.connect()
        self.assertEqual(self.ask(link), b"hello")
        return link

    def assert_silent(self, link):
        link.settimeout(SOON_S)
        with self.assertRaises(TimeoutError):
            link.recv(1)
        link.settimeout(DEADLINE_S)

    def assert_reset(self, link):
        with self.assertRaises(ConnectionResetError):
            while True:
                if not link.recv(65536):
                    self.fail("a polite end, no reset")

    def test_passes_bytes_on_in_both_directions(self):
        self.assertEqual(self.ask(self.connected(), BIG), BIG)
        self.assertEqual(self.proxy.bytes, dict.fromkeys((TO_SERVER, FROM_SERVER), len(BIG) + 5))
        self.assertEqual(self.proxy.connections, 1)

    def test_passes_the_end_of_a_stream_on(self):
        link = self.connected()
        link.shutdown(socket.SHUT_WR)
        self.assertEqual(link.recv(1), b"")

    def test_refuses_and_listens_again_on_the_same_port(self):
        link = self.connected()
        self.proxy.refuse()
        self.assert_reset(link)
        with self.assertRaises(ConnectionRefusedError):
            self.connect()
        self.proxy.pass_on()
        self.connected()

    def test_a_server_that_is_gone_resets_the_client(self):
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            with Proxy(nobody.getsockname()[1]) as proxy:
                with self.assertRaises(ConnectionResetError):  # where it is seen depends on who is faster
                    with socket.create_connection(("127.0.0.1", proxy.port), DEADLINE_S) as link:
                        link.recv(65536)

    def test_resets_old_and_new_connections(self):
        link = self.connected()
        self.proxy.reset()
        self.assert_reset(link)
        with self.assertRaises(ConnectionResetError):  # where it is seen depends on who is faster
            self.connect().recv(65536)

    def test_cut_resets_those_of_now_alone(self):
        link = self.connected()
        self.proxy.cut()
        self.assert_reset(link)
        self.connected()

    def test_a_stall_holds_bytes_back_and_loses_none(self):
        old = self.connected()
        self.proxy.stall()
        new = self.connect()
        for link in (old, new):
            link.sendall(b"kept")
            self.assert_silent(link)
        self.proxy.pass_on()
        self.assertEqual(old.recv(4), b"kept")
        self.assertEqual(new.recv(4), b"kept")

    def test_slow_is_slow_and_whole(self):
        link = self.connected()
        self.proxy.slow(1000)
        begin = time.monotonic()
        self.assertEqual(self.ask(link, b"x" * 400), b"x" * 400)
        # Each way takes 0.4 s at that rate; the two overlap but for the first slice.
        self.assertGreater(time.monotonic() - begin, 0.35)
        sender = threading.Thread(target=self.ask, args=(link, BIG))  # would take 17 minutes
        sender.start()
        self.proxy.pass_on()
        sender.join(DEADLINE_S)
        self.assertFalse(sender.is_alive())

    def test_half_open_drops_answers_for_good(self):
        link = self.connected()
        self.proxy.half_open(FROM_SERVER)
        link.sendall(b"lost")
        self.assertTrue(self.echo.wait_heard(9))
        self.assert_silent(link)
        self.proxy.pass_on()
        link.sendall(b"more")
        self.assert_silent(link)
        self.connected()

    def test_half_open_drops_what_is_sent(self):
        link = self.connected()
        self.proxy.half_open(TO_SERVER)
        link.sendall(b"lost")
        self.assert_silent(link)
        self.assertEqual(self.echo.heard, 5)

    def test_cuts_in_the_middle_of_an_answer(self):
        self.proxy.cut_after(7)
        for _ in range(2):
            link = self.connect()
            link.sendall(b"0123456789")
            self.assertEqual(link.recv(7), b"0123456")
            self.assert_reset(link)

    def test_says_something_else_than_the_server(self):
        link = self.connected()
        self.proxy.inject(b"-LOADING\r\n")
        link.sendall(b"hello")
        self.assertEqual(link.recv(99), b"-LOADING\r\n")
        self.assertEqual(self.echo.heard, 5)
        self.proxy.inject(lambda data: b"odd" if b"?" in data else None)
        self.assertEqual(self.ask(link, b"plain"), b"plain")
        link.sendall(b"what?")
        self.assertEqual(link.recv(99), b"odd")


if __name__ == "__main__":
    unittest.main()
