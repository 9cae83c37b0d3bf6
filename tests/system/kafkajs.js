// SPDX-License-Identifier: Apache-2.0
// kafkajs: produce 300 records with every feature it has on by default, read them back in a group.
const { Kafka, logLevel } = require('kafkajs');

const kafka = new Kafka({ clientId: 'test', brokers: [process.argv[2]], logLevel: logLevel.ERROR });

async function main() {
  const admin = kafka.admin();
  await admin.connect();
  await admin.createTopics({ topics: [{ topic: 't.kafkajs', numPartitions: 2 }] });
  const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 });
  await producer.connect();
  const wanted = new Set();
  for (let batch = 0; batch < 3; batch++) {
    const messages = [];
    for (let i = 0; i < 100; i++) {
      wanted.add(`${batch}-${i}`);
      messages.push({ key: `${i}`, value: `${batch}-${i}`, headers: { h: 'x' } });
    }
    await producer.send({ topic: 't.kafkajs', messages, acks: -1 });
  }
  const count = wanted.size;
  const consumer = kafka.consumer({ groupId: 'g.kafkajs' });
  await consumer.connect();
  await consumer.subscribe({ topic: 't.kafkajs', fromBeginning: true });
  await new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${wanted.size} records are missing`)), 60000);
    consumer.run({
      eachMessage: async ({ message }) => {
        wanted.delete(message.value.toString());
        if (wanted.size === 0) {
          clearTimeout(timer);
          resolve();
        }
      },
    });
  });
  console.log(`${count} of ${count}`);
  await consumer.disconnect();
  await producer.disconnect();
  await admin.disconnect();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
