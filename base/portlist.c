/* SPDX-License-Identifier: Apache-2.0 */
#include "base/portlist.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

/* The parts of a list: text between commas, spaces around it gone. */
struct parts {
	uint32_t count; /* 0: the setting is empty */
	char at[PORTLIST_MAX][CONFIG_TEXT_MAX];
};

/* Where a reason goes. */
struct says {
	char *text;
	size_t size;
};

static int split(const char *name, const char *text, struct parts *ret, const struct says *says)
{
	ret->count = 0;
	if (*text == '\0')
		return 0;
	for (;;) {
		size_t size;
		const char *begin = text + strspn(text, " ");
		const char *end = strchrnul(begin, ',');

		if (ret->count == PORTLIST_MAX) {
			(void)snprintf(says->text, says->size, "%s names more than %u ports", name,
				       PORTLIST_MAX);
			return ERR_CONFIG;
		}
		size = (size_t)(end - begin);
		while (size > 0 && begin[size - 1] == ' ')
			size--;
		memcpy(ret->at[ret->count], begin, size); /* no longer than the setting */
		ret->at[ret->count++][size] = '\0';
		if (*end == '\0')
			return 0;
		text = end + 1;
	}
}

/* One for each port; or, where that makes sense, one for all or none at all. */
static int take(const char *name, const char *text, uint32_t count, bool is_for_all,
		struct parts *ret, const struct says *says)
{
	int error = split(name, text, ret, says);

	if (error < 0 || ret->count == count || (is_for_all && ret->count <= 1))
		return error;
	(void)snprintf(says->text, says->size,
		       "%s has %u value%s for %u port%s: give one for each%s", name, ret->count,
		       ret->count == 1 ? "" : "s", count, count == 1 ? "" : "s",
		       is_for_all ? ", or one for all" : "");
	return ERR_CONFIG;
}

static const char *part(const struct parts *parts, uint32_t index)
{
	return parts->count == 0 ? "" : parts->at[parts->count == 1 ? 0 : index];
}

static uint32_t mask_of(const struct portlist_port *port)
{
	return port->prefix == 0 ? 0 : UINT32_MAX << (32 - port->prefix);
}

static int read_address(const char *name, const char *text, uint32_t *ret_address,
			const struct says *says)
{
	struct in_addr address;

	if (inet_pton(AF_INET, text, &address) != 1) {
		(void)snprintf(says->text, says->size, "%s: '%.64s' is not an IPv4 address", name,
			       text);
		return ERR_CONFIG;
	}
	*ret_address = ntohl(address.s_addr);
	return 0;
}

/* One gateway for several ports is of those that reach it. */
static int read_gateways(const struct config *config, struct portlist *list,
			 const struct says *says)
{
	struct parts gateways;
	int error = take("dpdk.gateway", config->dpdk_gateway, list->count, true, &gateways, says);
	uint32_t used = 0;

	for (uint32_t i = 0; error == 0 && gateways.count > 0 && i < list->count; i++) {
		struct portlist_port *port = &list->ports[i];
		const char *text = part(&gateways, i);
		uint32_t gateway;

		if (*text == '\0')
			continue;
		error = read_address("dpdk.gateway", text, &gateway, says);
		if (error < 0)
			break;
		if (((gateway ^ port->address) & mask_of(port)) == 0) {
			port->gateway = gateway;
			used++;
		} else if (gateways.count == list->count) {
			(void)snprintf(says->text, says->size,
				       "dpdk.gateway %s is not in the network of %s/%u", text,
				       port->address_text, port->prefix);
			error = ERR_CONFIG;
		}
	}
	if (error == 0 && gateways.count == 1 && gateways.at[0][0] != '\0' && used == 0) {
		(void)snprintf(says->text, says->size,
			       "dpdk.gateway %s is in no port's network (see dpdk.address and "
			       "dpdk.prefix)",
			       gateways.at[0]);
		error = ERR_CONFIG;
	}
	return error;
}

static int read_addresses(const struct config *config, struct portlist *list,
			  const struct says *says)
{
	struct parts addresses, prefixes, hosts;
	int error =
		take("dpdk.address", config->dpdk_address, list->count, false, &addresses, says);

	if (error == 0)
		error = take("dpdk.prefix", config->dpdk_prefix, list->count, true, &prefixes,
			     says);
	if (error == 0)
		error = take("advertised.dpdk.address", config->advertised_dpdk, list->count, true,
			     &hosts, says);
	for (uint32_t i = 0; error == 0 && i < list->count; i++) {
		struct portlist_port *port = &list->ports[i];
		const char *host = part(&hosts, i);

		error = read_address("dpdk.address", addresses.at[i], &port->address, says);
		if (error < 0)
			break;
		(void)snprintf(port->address_text, sizeof(port->address_text), "%.15s",
			       addresses.at[i]);
		port->prefix = (uint32_t)strtoul(part(&prefixes, i), NULL, 10);
		(void)snprintf(port->host, sizeof(port->host), "%s",
			       *host != '\0' ? host : port->address_text);
	}
	return error;
}

/* Whether two names are of one device. */
static bool is_same(const char *a, const char *b)
{
	char pci_a[PORTLIST_PCI_SIZE], pci_b[PORTLIST_PCI_SIZE];

	if (!portlist_is_pci(a) || !portlist_is_pci(b))
		return strcmp(a, b) == 0;
	portlist_pci(a, pci_a);
	portlist_pci(b, pci_b);
	return strcmp(pci_a, pci_b) == 0;
}

static int compare(const struct portlist *list, const struct says *says)
{
	for (uint32_t i = 0; i < list->count; i++) {
		for (uint32_t j = 0; j < i; j++) {
			const struct portlist_port *a = &list->ports[j], *b = &list->ports[i];

			if (is_same(a->port, b->port)) {
				(void)snprintf(says->text, says->size,
					       "dpdk.port names %.64s twice: leave one out",
					       b->port);
				return ERR_CONFIG;
			}
			if (a->address == b->address) {
				(void)snprintf(says->text, says->size,
					       "dpdk.address gives %s to %.64s and to %.64s: each "
					       "port has an address of its own",
					       b->address_text, a->port, b->port);
				return ERR_CONFIG;
			}
		}
	}
	return 0;
}

int portlist_read(const struct config *config, struct portlist *ret_list, char *reterr,
		  size_t reterr_size)
{
	const struct says says = { reterr, reterr_size };
	struct parts ports, mtus;
	struct portlist list = { .count = 0 };
	int error = split("dpdk.port", config->dpdk_port, &ports, &says);

	if (error == 0 && (ports.count == 0 || strcmp(config->dpdk_port, "none") == 0)) {
		ret_list->count = 0;
		return 0;
	}
	if (error == 0)
		error = take("dpdk.mtu", config->dpdk_mtu, ports.count, true, &mtus, &says);
	for (uint32_t i = 0; error == 0 && i < ports.count; i++) {
		struct portlist_port *port = &list.ports[i];

		memcpy(port->port, ports.at[i], sizeof(port->port));
		port->mtu = (uint16_t)strtoul(part(&mtus, i), NULL, 10);
		list.count++;
		if (port->port[0] == '\0' || strcmp(port->port, "none") == 0) {
			(void)snprintf(reterr, reterr_size, "dpdk.port: value %u of %u is %s",
				       i + 1, ports.count,
				       port->port[0] == '\0' ? "empty" : "none");
			error = ERR_CONFIG;
		}
	}
	if (error == 0)
		error = read_addresses(config, &list, &says);
	if (error == 0)
		error = read_gateways(config, &list, &says);
	if (error == 0)
		error = compare(&list, &says);
	if (error == 0)
		*ret_list = list;
	return error;
}

bool portlist_is_pci(const char *port)
{
	return strlen(port) >= 7 && strlen(port) <= 12 && strchr(port, ':') != NULL &&
	       strchr(port, '.') != NULL &&
	       strspn(port, "0123456789abcdefABCDEF:.") == strlen(port);
}

void portlist_pci(const char *name, char ret[PORTLIST_PCI_SIZE])
{
	bool has_domain = strchr(name, ':') != strrchr(name, ':');

	(void)snprintf(ret, PORTLIST_PCI_SIZE, "%s%.12s", has_domain ? "" : "0000:", name);
	for (char *at = ret; *at != '\0'; at++)
		*at = (char)tolower((unsigned char)*at);
}
