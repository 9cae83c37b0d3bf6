# SPDX-License-Identifier: Apache-2.0
"""Topics change while they are used: deleted, made anew under the same name, given more partitions
and other settings under a running producer and a running consumer. What was deleted is gone from
the disk, what is new begins at offset 0, and settings have their effect, without traffic too."""

import glob
import os
import sys
import threading
import time

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic

from box import Box, Checks, need, wait_until
from recovery import produce, read

MIB = 1 << 20


class Load:
    """A producer and a group's consumer that go on whatever happens to the topic."""

    def __init__(self, server, topic, group):
        self.topic = topic
        self.acknowledged = set()
        self.got = set()
        self.partitions = set()
        self.stopped = threading.Event()
        refresh = {"bootstrap.servers": server, "log_level": 0,
                   "topic.metadata.refresh.interval.ms": 300, "metadata.max.age.ms": 600}
        self.producer = Producer({**refresh, "acks": "all", "linger.ms": 2,
                                  "enable.idempotence": True, "message.timeout.ms": 5000})
        self.consumer = Consumer({**refresh, "group.id": group, "auto.offset.reset": "earliest",
                                  "allow.auto.create.topics": False,
                                  "session.timeout.ms": 6000, "heartbeat.interval.ms": 500})
        self.consumer.subscribe([topic])
        self.threads = [threading.Thread(target=self.send), threading.Thread(target=self.receive)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def done(self, error, message):
        if error is None:
            self.acknowledged.add(message.value())
            self.partitions.add(message.partition())

    def send(self):
        number = 0
        while not self.stopped.is_set():
            try:
                self.producer.produce(self.topic, f"{id(self)} {number}".encode(),
                                      key=str(number).encode(), on_delivery=self.done)
                number += 1
            except BufferError:
                pass
            except Exception:  # pylint: disable=broad-except
                time.sleep(0.05)  # the topic is away
            self.producer.poll(0)
            time.sleep(0.001)
        self.producer.flush(20)

    def receive(self):
        while not self.stopped.is_set() or self.lacks():
            for message in self.consumer.consume(500, 0.2):
                if message.error() is None:
                    self.got.add(message.value())
            if self.stopped.is_set() and time.monotonic() > self.end:
                break
        self.consumer.close()

    def lacks(self):
        return len(self.acknowledged - self.got)

    def stop(self):
        self.end = time.monotonic() + 30
        self.stopped.set()
        for thread in self.threads:
            thread.join()


class Topics:
    def __init__(self, box):
        self.box = box
        self.server = box.servers()
        self.admin = AdminClient({"bootstrap.servers": self.server, "log_level": 0})

    def create(self, topic, partitions=1, **settings):
        config = {name.replace("_", "."): str(value) for name, value in settings.items()}
        new = NewTopic(topic, num_partitions=partitions, replication_factor=1, config=config)
        self.admin.create_topics([new], operation_timeout=10)[topic].result(20)

    def delete(self, topic):
        self.admin.delete_topics([topic], operation_timeout=10)[topic].result(20)

    def folders(self, topic):
        return sorted(os.path.basename(path) for path in glob.glob(f"{self.box.data}/log/{topic}-*"))

    def segments(self, topic, partition=0):
        """{base offset: size} of the partition's log files."""
        sizes = {}
        for path in glob.glob(f"{self.box.data}/log/{topic}-{partition}/*.log"):
            try:
                sizes[int(os.path.basename(path)[:-4])] = os.stat(path).st_size
            except FileNotFoundError:
                pass
        return sizes

    def watermarks(self, topic, partition=0):
        consumer = Consumer({"bootstrap.servers": self.server, "group.id": "g.marks",
                             "log_level": 0})
        try:
            return consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=20)
        finally:
            consumer.close()

    def deleted_topic_leaves_the_disk_and_begins_anew(self):
        topic = "t.again"
        self.create(topic, 3)
        with Load(self.server, topic, "g.again") as load:
            wait_until(lambda: len(load.got) > 500, 30, "records flow")
            for _ in range(3):
                self.delete(topic)
                wait_until(lambda: not self.folders(topic), 20, "its folders are gone")
                before = len(load.acknowledged)
                time.sleep(1)  # the producer meets a topic that is not there
                need(len(load.acknowledged) == before, "acknowledged by a topic that is deleted")
                self.create(topic, 3)
                need(self.folders(topic) == [f"{topic}-{i}" for i in range(3)],
                     self.folders(topic))
                wait_until(lambda: len(load.acknowledged) > before + 500, 60, "records flow again")
        need(not glob.glob(f"{self.box.data}/log/*delete*"), "left-overs of deleted partitions")
        self.delete(topic)
        self.create(topic, 1)
        need(self.watermarks(topic) == (0, 0), self.watermarks(topic))
        sent = produce(self.server, topic, 100)
        need(sorted(sent) == list(range(100)), sorted(sent)[:5])
        need(read(self.server, topic) == sent, "the new topic holds something else")

    def recreated_topic_survives_restart(self):
        """The old topic's recovery points and snapshots must not meet the new one's files."""
        topic = "t.reborn"
        self.create(topic)
        produce(self.server, topic, 5000)
        time.sleep(1)
        self.delete(topic)
        self.create(topic)
        sent = produce(self.server, topic, 10)
        self.box.kill("millrace-dataplane")
        wait_until(lambda: self.box.get("/health").get("dataplane"), 30, "the dataplane is back")
        need(read(self.server, topic) == sent, "after a kill")
        need(self.box.stop() == 0, "clean stop")
        self.box.start()
        need(read(self.server, topic) == sent, "after a restart")
        sent.update(produce(self.server, topic, 10))
        need(sorted(sent) == list(range(20)), sorted(sent))

    def partitions_are_added_under_load(self):
        topic = "t.grow"
        self.create(topic, 1)
        with Load(self.server, topic, "g.grow") as load:
            wait_until(lambda: len(load.got) > 500, 30, "records flow")
            for count in (2, 5):
                self.admin.create_partitions([NewPartitions(topic, count)])[topic].result(20)
                need(self.folders(topic) == [f"{topic}-{i}" for i in range(count)],
                     self.folders(topic))
                wait_until(lambda: load.partitions == set(range(count)), 30,
                           "the producer uses all partitions")
        need(load.acknowledged and not load.lacks(), f"{load.lacks()} records are missing")
        need(self.watermarks(topic, 4)[0] == 0, "a new partition begins at 0")

    def settings_apply_to_the_new_topic(self):
        topic = "t.settings"
        self.create(topic, segment_bytes=2 * MIB)
        produce(self.server, topic, 9000, size=1000)
        need(len(self.segments(topic)) >= 4, self.segments(topic))
        self.delete(topic)
        self.create(topic, segment_bytes=16 * MIB, max_message_bytes=2000)
        produce(self.server, topic, 9000, size=1000, **{"batch.size": 1500})
        need(len(self.segments(topic)) == 1, self.segments(topic))
        try:
            self.create("t.settings.large", max_message_bytes=32 * MIB)
        except Exception as error:  # pylint: disable=broad-except
            need("INVALID_CONFIG" in str(error), error)
        else:
            raise AssertionError("a batch of 32 MiB was promised")

    def retention_by_size(self):
        topic = "t.size"
        self.create(topic, segment_bytes=MIB, retention_bytes=3 * MIB)
        produce(self.server, topic, 12000, size=1000)
        wait_until(lambda: sum(self.segments(topic).values()) <= 5 * MIB, 30, "old segments go")
        low, high = wait_until(lambda: self.watermarks(topic) if self.watermarks(topic)[0] > 6000
                               else None, 20, "the log's start moved")
        need(high == 12000, high)
        need(min(self.segments(topic)) == low, f"{self.segments(topic)} from {low}")
        need(len(read(self.server, topic)) == high - low, "what is kept can be read")
        names = os.listdir(f"{self.box.data}/log/{topic}-0")
        need(not [n for n in names if n.endswith(".deleted")], names)
        indexes = {int(n.split(".")[0]) for n in names if n.endswith(".timeindex")}
        need(indexes <= set(self.segments(topic)), f"indexes of removed segments: {names}")

    def retention_of_an_idle_topic(self):
        """Nobody writes, nobody reads: the clock alone must do."""
        topic = "t.idle"
        self.create(topic, segment_bytes=MIB, retention_ms=4000)
        produce(self.server, topic, 4000, size=1000)
        need(len(self.segments(topic)) > 3, self.segments(topic))
        wait_until(lambda: len(self.segments(topic)) == 1, 20, "old segments go")
        wait_until(lambda: self.watermarks(topic) == (4000, 4000), 20, "all records are gone")
        sent = produce(self.server, topic, 10)
        need(sorted(sent) == list(range(4000, 4010)), sorted(sent))
        need(read(self.server, topic) == sent, "the log goes on")

    def stop_is_clean(self):
        need(self.box.stop() == 0, "exit code of the stop")
        need(os.path.exists(f"{self.box.data}/log/.kafka_cleanshutdown"), "no mark")


def main():
    checks = Checks()
    with Box(settings={"auto.create.topics.enable": "false"}, cores=2) as box:
        topics = Topics(box)
        for name in ("deleted_topic_leaves_the_disk_and_begins_anew",
                     "recreated_topic_survives_restart", "partitions_are_added_under_load",
                     "settings_apply_to_the_new_topic", "retention_by_size",
                     "retention_of_an_idle_topic", "stop_is_clean"):
            checks.run(name, getattr(topics, name))
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
