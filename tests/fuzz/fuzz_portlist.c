/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claimed: whatever text the settings of ports are, it is refused with a reason, or gives ports that have
 * all they need, a gateway in their network, and no device or address twice.
 * Input: a line for each setting; one that the table of settings refuses keeps its default.
 */
#include <string.h>

#include "base/check.h"
#include "base/err.h"
#include "base/portlist.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void judge(const struct portlist *list)
{
	CHECK(list->count <= PORTLIST_MAX);
	for (uint32_t i = 0; i < list->count; i++) {
		const struct portlist_port *port = &list->ports[i];
		uint32_t mask = UINT32_MAX << (32 - port->prefix);

		CHECK(port->port[0] != '\0' && strchr(port->port, ',') == NULL);
		CHECK(port->host[0] != '\0' && port->address_text[0] != '\0');
		CHECK(port->prefix >= 1 && port->prefix <= 32);
		CHECK(port->mtu >= 576 && port->mtu <= 9000);
		CHECK(port->gateway == 0 || ((port->gateway ^ port->address) & mask) == 0);
		for (uint32_t j = 0; j < i; j++) {
			CHECK(list->ports[j].address != port->address);
			CHECK(strcmp(list->ports[j].port, port->port) != 0);
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static const char *const names[] = { "dpdk.port",   "dpdk.address",
					     "dpdk.prefix", "dpdk.gateway",
					     "dpdk.mtu",    "advertised.dpdk.address" };
	const char *at = (const char *)bytes, *end = at + size;
	char value[2 * CONFIG_TEXT_MAX], reason[512] = "";
	struct config config;
	struct portlist list;
	int error;

	config_init(&config);
	for (size_t i = 0; i < ARRAY_COUNT(names) && at < end; i++) {
		const char *stop = memchr(at, '\n', (size_t)(end - at));
		size_t length = MIN((size_t)((stop != NULL ? stop : end) - at), sizeof(value) - 1);

		memcpy(value, at, length);
		value[length] = '\0';
		(void)config_set(&config, names[i], value, reason, sizeof(reason));
		at = stop != NULL ? stop + 1 : end;
	}
	reason[0] = '\0';
	error = portlist_read(&config, &list, reason, sizeof(reason));
	CHECK(error == 0 || (error == ERR_CONFIG && reason[0] != '\0'));
	if (error == 0)
		judge(&list);
	return 0;
}
