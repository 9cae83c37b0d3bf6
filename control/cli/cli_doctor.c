/* SPDX-License-Identifier: Apache-2.0 */
/* `millrace doctor`: what this machine offers, what is missing, and the remedy of each. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "control/cli/cli.h"

enum verdict { GOOD, WEAK, BAD };

struct report {
	json_t *checks;
	bool is_json;
	int bad_count;
};

static void say(struct report *report, const char *check, enum verdict verdict, const char *found,
		const char *remedy)
{
	static const char *const words[] = { "ok", "warn", "FAIL" };

	report->bad_count += verdict == BAD;
	(void)json_array_append_new(report->checks,
				    json_pack("{s:s, s:s, s:s, s:s}", "check", check, "verdict",
					      words[verdict], "found", found, "remedy",
					      verdict == GOOD ? "" : remedy));
	if (report->is_json)
		return;
	(void)printf("%-5s %-14s %s\n", words[verdict], check, found);
	if (verdict != GOOD)
		(void)printf("                     remedy: %s\n", remedy);
}

/** First line of a small file into `ret` [size]. @return false: not there */
static bool read_line(const char *path, char *ret, size_t size)
{
	FILE *file = fopen(path, "re");
	bool is_read;

	if (file == NULL)
		return false;
	is_read = fgets(ret, (int)size, file) != NULL;
	(void)fclose(file);
	if (is_read)
		ret[strcspn(ret, "\n")] = '\0';
	return is_read;
}

static void check_hugepages(struct report *report, const struct config *config)
{
	char text[64], found[128], remedy[192];
	long long free_count = 0, all_count = 0, wanted;
	bool is_writable = access("/dev/hugepages", W_OK) == 0;

	if (read_line("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", text,
		      sizeof(text)))
		(void)sscanf(text, "%lld", &free_count);
	if (read_line("/proc/sys/vm/nr_hugepages", text, sizeof(text)))
		(void)sscanf(text, "%lld", &all_count);
	wanted = config->cores * config->ring_size / (2 * 1024 * 1024) + 64;
	(void)snprintf(found, sizeof(found),
		       "%lld free pages of 2 MiB, %lld wanted for %lld core(s)%s", free_count,
		       wanted, (long long)config->cores,
		       is_writable ? "" : "; /dev/hugepages is not this user's to write");
	(void)snprintf(remedy, sizeof(remedy),
		       "as root: sysctl vm.nr_hugepages=%lld; mount -t hugetlbfs -o uid=%d none "
		       "/dev/hugepages; without them the rings lie on tmpfs",
		       all_count + MAX(wanted - free_count, 0), (int)geteuid());
	say(report, "hugepages", free_count >= wanted && is_writable ? GOOD : WEAK, found, remedy);
}

static void check_io_uring(struct report *report)
{
	char text[64] = "0";

	(void)read_line("/proc/sys/kernel/io_uring_disabled", text, sizeof(text));
	say(report, "io_uring", text[0] == '0' ? GOOD : BAD,
	    text[0] == '0' ? "allowed" : "kernel.io_uring_disabled is set",
	    "sysctl kernel.io_uring_disabled=0");
}

static void check_af_xdp(struct report *report)
{
	int fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);

	if (fd >= 0) {
		(void)close(fd);
		say(report, "AF_XDP", GOOD, "sockets can be made", "");
		return;
	}
	say(report, "AF_XDP", WEAK,
	    errno == EPERM ? "not permitted (CAP_NET_RAW)" : "the kernel has none",
	    "run as root, or give CAP_NET_ADMIN, CAP_NET_RAW and CAP_BPF; "
	    "without it the socket transport serves");
}

static void check_memlock(struct report *report)
{
	struct rlimit limit = { 0, 0 };
	char found[64];

	(void)getrlimit(RLIMIT_MEMLOCK, &limit);
	bool is_good = limit.rlim_cur == RLIM_INFINITY || geteuid() == 0;
	(void)snprintf(found, sizeof(found), is_good ? "enough" : "%llu bytes",
		       (unsigned long long)limit.rlim_cur);
	say(report, "memlock", is_good ? GOOD : WEAK, found,
	    "LimitMEMLOCK=infinity, or CAP_IPC_LOCK");
}

static void check_disk(struct report *report, const struct config *config)
{
	char probe[CONFIG_TEXT_MAX + 32], found[128], text[32];
	struct statvfs info;
	int fd;

	if (statvfs(config->data_dir, &info) != 0) {
		say(report, "data.dir", WEAK, "does not exist yet",
		    "it is made at the first start");
		return;
	}
	int64_t free_size = (int64_t)info.f_bavail * (int64_t)info.f_frsize;
	(void)snprintf(found, sizeof(found), "%s free", cli_bytes(free_size, text, sizeof(text)));
	say(report, "disk space", free_size > INT64_C(10000000000) ? GOOD : WEAK, found,
	    "make room, or lower log.retention.bytes");
	(void)snprintf(probe, sizeof(probe), "%s/.doctor", config->data_dir);
	fd = open(probe, O_CREAT | O_RDWR | O_DIRECT | O_CLOEXEC, 0600);
	say(report, "O_DIRECT", fd >= 0 ? GOOD : BAD,
	    fd >= 0 ? "works on the data directory" : strerror(errno),
	    "put data.dir on XFS or ext4 (tmpfs and overlay have no O_DIRECT)");
	if (fd >= 0)
		(void)close(fd);
	(void)unlink(probe);
}

int cli_doctor(struct cli *cli)
{
	struct report report = { .checks = json_array(), .is_json = cli->is_json };

	check_io_uring(&report);
	check_hugepages(&report, &cli->config);
	check_af_xdp(&report);
	check_memlock(&report);
	check_disk(&report, &cli->config);
	if (cli->is_json)
		cli_print_json(report.checks);
	json_decref(report.checks);
	return report.bad_count == 0 ? CLI_OK : CLI_FAILED;
}
