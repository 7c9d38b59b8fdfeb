"""A real Kafka and a real Redis for one test program, on free ports of 127.0.0.1.

Each is asked until it answers, logs into the program's temporary folder, and is ended by its
process id; should the test program die, the kernel ends them.
"""

import collections
import ctypes
import os
import pathlib
import signal
import socket
import subprocess
import time
import uuid

import kafka_wire

HERE = pathlib.Path(__file__).resolve().parent
START_S = 90  # two cores, perhaps with a compiler on them
STOP_S = 30
POLL_S = 0.05


def free_port():
    """A port that was free a moment ago; whoever uses it must be ready to be refused."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _die_with_parent():
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


def spawn(command, log, **options):
    """A child whose output goes to the file `log` and that does not outlive us."""
    with open(log, "ab") as out:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=options.pop("stdout", out),
            stderr=out,
            preexec_fn=_die_with_parent,
            **options,
        )


def stop(process, how=signal.SIGTERM, deadline_s=STOP_S):
    """Ends a child by its process id and returns its exit status."""
    if process.poll() is None:
        process.send_signal(how)
    try:
        return process.wait(deadline_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise


def wait_until(question, what, deadline_s, poll_s=POLL_S):
    """Asks until the answer is true, and returns it; AssertionError at the deadline."""
    end = time.monotonic() + deadline_s
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline_s} s: {what}")
        time.sleep(poll_s)


Record = collections.namedtuple("Record", "partition offset timestamp key value")


class Kafka:
    """Apache Kafka, one KRaft node that is broker and controller."""

    format_options = ()
    # The quick compiler alone and the plain collector: a test's broker lives for a minute.
    java_options = ("-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto")

    def __init__(self, folder, cluster=None, **properties):
        self.folder = pathlib.Path(folder) / "kafka"
        self.folder.mkdir()
        self.cluster = cluster or uuid.uuid4().hex[:22]
        self.properties = {key.replace("_", "."): value for key, value in properties.items()}
        self.log = self.folder / "log"
        self.process = None
        fetched = subprocess.run(
            [HERE.parent / "kafka" / "fetch.sh"], stdout=subprocess.PIPE, check=True, text=True
        )
        self.classpath = fetched.stdout.strip() + "/*"

    @property
    def bootstrap(self):
        return f"127.0.0.1:{self.port}"

    def _java(self, *arguments):
        log4j = f"-Dlog4j.configuration=file:{HERE.parent / 'kafka' / 'log4j.properties'}"
        return ["java", *self.java_options, log4j, "-cp", self.classpath, *map(str, arguments)]

    def _configure(self):
        self.port, controller = free_port(), free_port()
        settings = {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@127.0.0.1:{controller}",
            "controller.listener.names": "CONTROLLER",
            "listeners": f"PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{controller}",
            "log.dirs": self.folder / "data",
            "auto.create.topics.enable": "false",
            "offsets.topic.num.partitions": 1,
            "offsets.topic.replication.factor": 1,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "group.initial.rebalance.delay.ms": 0,
            "num.network.threads": 2,
            "num.io.threads": 2,
            "log.cleaner.enable": "false",
            "log.retention.ms": -1,  # records may say that they are years old
            **self.properties,
        }
        path = self.folder / "server.properties"
        path.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
        return path

    def _answers(self):
        if self.process.poll() is not None:
            raise ChildProcessError("kafka ended: " + self.log.read_text()[-3000:])
        try:
            with kafka_wire.Wire("127.0.0.1", self.port) as wire:
                wire.ping()
            return True
        except OSError:
            return False

    def start(self):
        for last_try in (False, False, True):
            path = self._configure()
            storage = ["kafka.tools.StorageTool", "format", "--ignore-formatted"]
            with open(self.log, "ab") as log:
                subprocess.run(
                    self._java(*storage, "-t", self.cluster, "-c", path, *self.format_options),
                    stdout=log, stderr=log, check=True,
                )
            self.process = spawn(self._java("kafka.Kafka", path), self.log)
            try:
                wait_until(self._answers, "kafka answers", START_S)
                return self
            except ChildProcessError:
                # Somebody took a port between our look and the broker's bind: try other ones.
                if last_try:
                    raise
        return None

    def stop(self):
        # Nothing of it is wanted any more, so it need not say goodbye to itself for seconds.
        if self.process:
            stop(self.process, signal.SIGKILL)

    def wire(self):
        return kafka_wire.Wire("127.0.0.1", self.port)

    def create_topic(self, topic, partitions, **config):
        with self.wire() as wire:
            wire.create_topic(topic, partitions, config)
            wait_until(
                lambda: self._has_leaders(wire, topic, partitions), f"{topic} has leaders", START_S
            )

    @staticmethod
    def _has_leaders(wire, topic, partitions):
        try:
            for partition in range(partitions):
                wire.log_end(topic, partition)
            return True
        except kafka_wire.KafkaError:
            return False

    def log_ends(self, topic, partitions):
        with self.wire() as wire:
            return {p: wire.log_end(topic, p) for p in range(partitions)}

    def _kcat(self, *arguments, **options):
        # Keys go where Java clients and freshet itself send them.
        properties = ["-X", "partitioner=murmur2_random", "-X", "message.max.bytes=64000000"]
        command = ["kcat", "-b", self.bootstrap, *properties, *arguments]
        done = subprocess.run(command, capture_output=True, check=False, **options)
        if done.returncode:
            raise ChildProcessError(f"kcat {arguments}: {done.stderr.decode(errors='replace')}")
        return done.stdout

    def produce(self, topic, records):
        """Sends (key, value) pairs of bytes without tab or newline, in order."""
        lines = b"".join(key + b"\t" + value + b"\n" for key, value in records)
        self._kcat("-P", "-t", topic, "-K", "\t", input=lines)

    def produce_raw(self, topic, key, value, partition=-1):
        """Sends one record; `key` may be empty, `value` too, or None for a null."""
        place = ["-P", "-t", topic, "-p", str(partition)]
        if not value:
            null = ["-Z"] if value is None else []
            self._kcat(*place, *null, "-K", "\t", input=key + b"\t\n")
            return
        path = self.folder / "one-record"
        path.write_bytes(value)
        self._kcat(*place, "-k", key, path)

    def consume(self, topic):
        """Every record of a topic, by partition and offset."""
        # Lengths come first, so that keys and values may hold any bytes. -1 means null.
        form = "%p %o %T %K %S\\n%k%s"
        data = self._kcat("-C", "-t", topic, "-o", "beginning", "-e", "-q", "-f", form)
        records, at = [], 0
        while at < len(data):
            end = data.index(b"\n", at)
            partition, offset, timestamp, key_length, length = map(int, data[at:end].split())
            at = end + 1
            key = None if key_length < 0 else data[at : at + key_length]
            at += max(key_length, 0)
            value = None if length < 0 else data[at : at + length]
            at += max(length, 0)
            records.append(Record(partition, offset, timestamp, key, value))
        return sorted(records, key=lambda record: (record.partition, record.offset))


class SecureKafka(Kafka):
    """The same with a second listener for clients with TLS and SASL/SCRAM-SHA-512, and access lists.

    `identity`: the broker's (certificate, key); users: {name: password}. Our own commands go to the
    plain listener, where everything is allowed; there, nobody is called ANONYMOUS."""

    def __init__(self, folder, identity, users):
        super().__init__(folder)
        self.identity, self.secure_port = identity, 0
        self.format_options = []
        for name, password in users.items():
            self.format_options += ["--add-scram", f"SCRAM-SHA-512=[name={name},password={password}]"]

    @property
    def secure_bootstrap(self):
        return f"127.0.0.1:{self.secure_port}"

    def _configure(self):
        certificate, key = self.identity
        keystore = self.folder / "identity.pem"
        keystore.write_text(key.read_text() + certificate.read_text())
        self.secure_port = free_port()
        path = super()._configure()
        listeners = next(line for line in path.read_text().splitlines() if line.startswith("listeners="))
        own = {
            "listeners": f"{listeners.split('=', 1)[1]},SECURE://127.0.0.1:{self.secure_port}",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SECURE:SASL_SSL",
            "sasl.enabled.mechanisms": "SCRAM-SHA-512",
            "listener.name.secure.scram-sha-512.sasl.jaas.config":
                "org.apache.kafka.common.security.scram.ScramLoginModule required;",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": keystore,
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
        }
        with open(path, "a", encoding="utf-8") as out:
            out.write("".join(f"{name}={value}\n" for name, value in own.items()))
        return path

    def allow(self, user, rules):
        """rules: [words of kafka-acls that name operations and what they are on]."""
        tool = ["kafka.admin.AclCommand", "--bootstrap-server", self.bootstrap, "--add"]
        for rule in rules:
            subprocess.run(
                self._java(*tool, "--allow-principal", f"User:{user}", *rule.split()),
                check=True, capture_output=True, text=True,
            )


class Broker(Kafka):
    """The embedded broker instead, `freshet broker`: started at once, keeps a few megabytes."""

    def __init__(self, folder, binary, topics, partitions):
        self.folder = pathlib.Path(folder) / "broker"
        self.folder.mkdir()
        self.log = self.folder / "log"
        self.process = None
        self.command = [binary, "broker", "--topics", ",".join(topics), "--partitions", str(partitions)]
        self.address = None

    @property
    def bootstrap(self):
        return self.address

    def start(self):
        self.process = spawn(self.command, self.log, stdout=subprocess.PIPE)
        self.address = self.process.stdout.readline().decode().strip()
        self.process.stdout.close()
        return self

    def create_topic(self, topic, partitions, **config):
        """They are there from the start."""


class Redis:
    """A Redis that keeps nothing: killed, it comes back empty on the same port. `settings` are of
    redis.conf, `login` is a user and a password for our own commands."""

    def __init__(self, folder, login=(), **settings):
        self.folder = pathlib.Path(folder) / "redis"
        self.folder.mkdir()
        self.log = self.folder / "log"
        self.port = free_port()
        self.login = login
        self.settings = {key.replace("_", "-"): value for key, value in settings.items()}
        self.process = None

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def _answers(self):
        if self.process.poll() is not None:
            raise ChildProcessError("redis ended: " + self.log.read_text()[-3000:])
        try:
            return self.command("PING") == b"PONG"
        except OSError:
            return False

    def start(self, wait=True, **settings):
        """With wait=False it may still be loading, or not yet listen. `settings`: for this time."""
        ours = {
            "port": self.port, "bind": "127.0.0.1", "save": "", "appendonly": "no",
            "dir": self.folder, "daemonize": "no",
        }
        settings = {key.replace("_", "-"): value for key, value in settings.items()}
        command = ["redis-server"]
        for key, value in {**ours, **self.settings, **settings}.items():
            command += [f"--{key}", *(value if isinstance(value, tuple) else [str(value)])]
        self.process = spawn(command, self.log)
        if wait:
            wait_until(self._answers, "redis answers", START_S)
        return self

    def kill(self):
        stop(self.process, signal.SIGKILL)

    def stop(self):
        if self.process:
            stop(self.process)

    def connect(self):
        """A connection to keep and to speak on."""
        link = socket.create_connection(("127.0.0.1", self.port), timeout=STOP_S)
        if self.login:
            self.speak(link, [("AUTH", *self.login)])
        return link

    def speak(self, link, commands):
        """Sends all commands, then reads all replies; AssertionError for one that is an error."""
        message = b""
        for words in commands:
            message += b"*%d\r\n" % len(words)
            for word in words:
                encoded = word if isinstance(word, bytes) else str(word).encode()
                message += b"$%d\r\n%b\r\n" % (len(encoded), encoded)
        with link.makefile("rb") as replies:
            link.sendall(message)
            return [self._reply(replies) for _ in commands]

    def pipeline(self, commands):
        """The same on a connection of its own."""
        with self.connect() as link:
            return self.speak(link, commands)

    def _reply(self, replies):
        line = replies.readline()
        if not line:
            raise ConnectionError("redis hung up")
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest
        if kind == b"-":
            raise AssertionError("redis: " + rest.decode())
        if kind == b":":
            return int(rest)
        length = int(rest)
        if length < 0:
            return None
        if kind == b"$":
            return replies.read(length + 2)[:-2]
        return [self._reply(replies) for _ in range(length)]

    def command(self, *words):
        return self.pipeline([words])[0]

    def get_all(self, keys):
        """[value or None] of the keys, in pipelines of bounded size."""
        values = []
        for begin in range(0, len(keys), 500):
            values += self.pipeline([("GET", key) for key in keys[begin : begin + 500]])
        return values
