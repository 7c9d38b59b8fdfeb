"""Kafka that goes away and comes back as it was, behind a rude network, or with two brokers."""

import pathlib
import signal
import subprocess
import uuid

import services
from proxy import Proxy


class Kafka(services.Kafka):
    """It keeps its port and its data when it is killed. Clients may have to go through a proxy."""

    def __init__(self, folder, proxied=False, **properties):
        super().__init__(folder, **properties)
        self.proxied, self.proxy = proxied, None

    def _configure(self):
        path = super()._configure()
        if self.proxied:
            if self.proxy:
                self.proxy.close()
            self.proxy = Proxy(self.port)
            with open(path, "a", encoding="utf-8") as out:
                out.write(f"advertised.listeners=PLAINTEXT://127.0.0.1:{self.proxy.port}\n")
        return path

    def kill(self):
        services.stop(self.process, signal.SIGKILL)

    def come_back(self):
        path = self.folder / "server.properties"
        self.process = services.spawn(self._java("kafka.Kafka", path), self.log)
        services.wait_until(self._answers, "kafka answers again", services.START_S)

    def stop(self):
        super().stop()
        if self.proxy:
            self.proxy.close()


class Node(Kafka):
    """One of a cluster."""

    def __init__(self, folder, number, role, quorum, properties):
        super().__init__(folder, **properties)
        self.number, self.role, self.quorum = number, role, quorum

    def _configure(self):
        path = super()._configure()
        listeners = {
            "broker": f"PLAINTEXT://127.0.0.1:{self.port}",
            "controller": f"CONTROLLER://127.0.0.1:{self.quorum}",
        }
        with open(path, "a", encoding="utf-8") as out:  # of a key given twice the last one counts
            out.write(
                f"process.roles={self.role}\nnode.id={self.number}\n"
                f"controller.quorum.voters=1@127.0.0.1:{self.quorum}\n"
                f"listeners={listeners[self.role]}\n"
            )
        return path

    def launch(self, cluster):
        path = self._configure()
        storage = ["kafka.tools.StorageTool", "format", "--ignore-formatted", "-t", cluster, "-c"]
        with open(self.log, "ab") as log:
            subprocess.run(self._java(*storage, path), stdout=log, stderr=log, check=True)
        self.process = services.spawn(self._java("kafka.Kafka", path), self.log)


class Cluster(services.Kafka):
    """Two brokers that have every record both, and a controller. `brokers` may be killed."""

    def __init__(self, folder):
        quorum = services.free_port()
        properties = {
            "offsets_topic_replication_factor": 2, "default_replication_factor": 2,
            "min_insync_replicas": 1, "broker_session_timeout_ms": 3000,
            "broker_heartbeat_interval_ms": 500, "replica_lag_time_max_ms": 3000,
        }
        folder = pathlib.Path(folder)
        places = [folder / name for name in ("controller", "one", "two")]
        for place in places:
            place.mkdir()
        self.controller = Node(places[0], 1, "controller", quorum, properties)
        self.brokers = [Node(place, n, "broker", quorum, properties) for n, place in enumerate(places[1:], 2)]
        super().__init__(folder)

    @property
    def bootstrap(self):
        return ",".join(broker.bootstrap for broker in self.brokers)

    def start(self):
        cluster = uuid.uuid4().hex[:22]
        for node in (self.controller, *self.brokers):
            node.launch(cluster)
        for broker in self.brokers:
            services.wait_until(broker._answers, "a broker answers", services.START_S)
        self.process = self.controller.process
        return self

    def stop(self):
        for node in (*self.brokers, self.controller):
            node.stop()

    def wire(self):
        return self.brokers[0].wire()

    def create_topic(self, topic, partitions, **config):
        def created():
            try:
                with self.wire() as wire:
                    wire.create_topic(topic, partitions, config, copies=2)
                return True
            except services.kafka_wire.KafkaError as error:
                return error.code == 36  # it is there already
        services.wait_until(created, f"{topic} is made", services.START_S)
        services.wait_until(lambda: self.leaders(topic, partitions), f"{topic} has leaders", services.START_S)

    def leaders(self, topic, partitions):
        """{partition: the broker that leads it}, or None while one has no leader."""
        found = {}
        for broker in self.brokers:
            if broker.process.poll() is not None:
                continue
            with broker.wire() as wire:
                for partition in range(partitions):
                    try:
                        wire.log_end(topic, partition)
                        found[partition] = broker
                    except services.kafka_wire.KafkaError:
                        pass
        return found if len(found) == partitions else None

    def log_ends(self, topic, partitions):
        leaders = services.wait_until(
            lambda: self.leaders(topic, partitions), f"{topic} has leaders", services.START_S
        )
        ends = {}
        for partition, broker in leaders.items():
            with broker.wire() as wire:
                ends[partition] = wire.log_end(topic, partition)
        return ends
