// SPDX-License-Identifier: Apache-2.0
// Encode sample values with Kafka's own message classes. Reads lines "CLASS VERSION JSON" and
// writes the bytes of each as one line of hex.

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.ByteBuffer;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.MessageUtil;

public class Golden {
	public static void main(String[] args) throws Exception {
		BufferedReader input = new BufferedReader(new InputStreamReader(System.in));
		ObjectMapper mapper = new ObjectMapper();
		String line;

		while ((line = input.readLine()) != null) {
			String[] words = line.split(" ", 3);
			short version = Short.parseShort(words[1]);
			JsonNode json = mapper.readTree(words[2]);
			Message message = (Message) Class.forName(words[0] + "JsonConverter")
					.getMethod("read", JsonNode.class, short.class).invoke(null, json, version);
			ByteBuffer bytes = MessageUtil.toByteBufferAccessor(message, version).buffer();
			StringBuilder hex = new StringBuilder();

			while (bytes.hasRemaining())
				hex.append(String.format("%02x", bytes.get()));
			System.out.println(hex);
		}
	}
}
