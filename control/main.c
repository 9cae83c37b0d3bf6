/* SPDX-License-Identifier: Apache-2.0 */
/* millrace-control: settings, privileges, then the loop. */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/privileges.h"

#include "control/control.h"
#include "control/http/webapi.h"
#include "orchestrate/orchestrate.h"

static const char usage[] =
	"usage: millrace-control [--config FILE] [--set NAME=VALUE]...\n"
	"\n"
	"The control process of a Millrace box: cluster metadata, group coordinator, HTTP API.\n"
	"It connects to the dataplane of the same run directory and serves until SIGTERM.\n"
	"\n"
	"  --config FILE      read settings, as Java properties\n"
	"  --set NAME=VALUE   one setting, over the file; may be repeated\n"
	"  --print-config     print every setting with its value and sentence, and end\n"
	"  --help             this text\n"
	"\n"
	"exit status: 0 stopped by a signal, 1 failed, 2 wrong usage or settings\n";

/** @return 0 go on; 1 done (help was printed); ERR_CONFIG, told on stderr */
static int read_settings(int argc, char **argv, struct config *config)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "set", required_argument, NULL, 's' },
		{ "print-config", no_argument, NULL, 'p' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	char reterr[512] = "";
	bool print = false;
	int error = 0;
	int option;

	config_init(config);
	while (error == 0 && (option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'c')
			error = config_load(config, optarg, reterr, sizeof(reterr));
		else if (option == 's')
			error = config_assign(config, optarg, reterr, sizeof(reterr));
		else if (option == 'p')
			print = true;
		else if (option == 'h')
			return printf("%s", usage) < 0 ? ERR_CONFIG : 1;
		else
			error = ERR_CONFIG;
	}
	if (error == 0 && optind < argc) {
		(void)snprintf(reterr, sizeof(reterr), "%s: not understood", argv[optind]);
		error = ERR_CONFIG;
	}
	if (error != 0) {
		(void)fprintf(stderr, "millrace-control: %s\nTry --help.\n", reterr);
		return ERR_CONFIG;
	}
	config_finish(config);
	if (print)
		config_print(config, stdout);
	return print ? 1 : 0;
}

/* ---- the HTTP API as the loop's guest ---- */

/** The loop and the guest that the API is in it. */
struct web_seat {
	struct control *control;
	struct control_guest guest;
};

static bool web_is_up(void *context)
{
	const struct web_seat *seat = context;

	return control_is_dataplane_up(seat->control);
}

static const struct partitions *web_partitions(void *context)
{
	const struct web_seat *seat = context;

	return control_partitions(seat->control);
}

static int web_request(void *context, uint64_t token, int16_t api_key, int16_t version,
		       const uint8_t *body, uint32_t size)
{
	const struct web_seat *seat = context;

	return control_request(seat->control, &seat->guest, token, api_key, version, body, size);
}

static const struct webapi_ops web_ops = {
	.is_dataplane_up = web_is_up,
	.partitions = web_partitions,
	.request = web_request,
};

static int guest_fd(void *context)
{
	return webapi_fd(context);
}

static int64_t guest_run(void *context, int64_t now_ns)
{
	return webapi_run(context, now_ns);
}

static void guest_answer(void *context, uint64_t token, const uint8_t *body, uint32_t size)
{
	webapi_answer(context, token, body, size);
}

/* ---- pipelines as the loop's guest ---- */

static int scheduler_fd(void *context)
{
	return orchestrate_fd(context);
}

static int64_t scheduler_run(void *context, int64_t now_ns)
{
	return orchestrate_run(context, now_ns);
}

static void no_answer(void *context, uint64_t token, const uint8_t *body, uint32_t size)
{
	(void)context;
	(void)token;
	(void)body;
	(void)size;
}

static const struct partitions *scheduler_partitions(void *context)
{
	return control_partitions(context);
}

static int open_pipelines(const struct config *config, int attempt_fd, struct control *control,
			  struct orchestrate **ret_pipelines)
{
	const struct orchestrate_config settings = {
		.config = config,
		.attempt_fd = attempt_fd,
		.partitions = scheduler_partitions,
		.ctx = control,
	};

	return orchestrate_open(&settings, ret_pipelines);
}

/** @param attempt_fd  of orchestrate_open_program() */
static int serve(const struct config *config, int attempt_fd)
{
	CLEANUP(control_closep) struct control *control = NULL;
	CLEANUP(orchestrate_closep) struct orchestrate *pipelines = NULL;
	CLEANUP(webapi_closep) struct webapi *web = NULL;
	struct control_guest scheduler = { .fd = scheduler_fd,
					   .run = scheduler_run,
					   .answer = no_answer };
	struct webapi_config web_config = { .config = config, .ops = &web_ops };
	struct web_seat seat = {
		.guest = { .fd = guest_fd, .run = guest_run, .answer = guest_answer },
	};
	char reterr[512];
	int error = control_open(config, &control);

	if (error == 0)
		error = open_pipelines(config, attempt_fd, control, &pipelines);
	if (error != 0)
		return error;
	web_config.extra_routes = orchestrate_routes(&web_config.extra_route_count);
	web_config.extra_ctx = pipelines;
	web_config.meta = control_meta(control);
	web_config.groups = control_groups(control);
	seat.control = control;
	web_config.ctx = &seat;
	web_config.now_ns = clock_now_ns();
	error = webapi_open(&web_config, &web, reterr, sizeof(reterr));
	if (error != 0) {
		log_error("HTTP: %s", reterr);
		return error;
	}
	seat.guest.context = web;
	scheduler.context = pipelines;
	control_attach(control, &seat.guest);
	control_attach(control,
		       &scheduler); /* last: what calls changed is written in the same turn */
	return control_run(control);
}

static int drop_privileges(const struct config *config)
{
	char metadata[CONFIG_TEXT_MAX + 16], pipelines[CONFIG_TEXT_MAX + 16];
	const char *folders[] = { metadata, pipelines, config->tables_dir };

	(void)snprintf(metadata, sizeof(metadata), "%s/metadata", config->data_dir);
	(void)snprintf(pipelines, sizeof(pipelines), "%s/orchestrate", config->data_dir);
	return privileges_drop(config, folders, ARRAY_COUNT(folders));
}

int main(int argc, char **argv)
{
	const struct sigaction ignore = { .sa_handler = SIG_IGN };
	struct config config;
	int error = read_settings(argc, argv, &config), attempt_fd;

	if (error != 0)
		return error == 1 ? EXIT_SUCCESS : 2;
	log_init("control", LOG_INFO);
	/* A closed HTTP connection is an error of write(). */
	if (sigaction(SIGPIPE, &ignore, NULL) != 0)
		return EXIT_FAILURE;
	attempt_fd = orchestrate_open_program();
	error = drop_privileges(&config);
	if (error != 0) {
		log_error("cannot become user %s: %s", config.user, err_str(error));
		return EXIT_FAILURE;
	}
	return serve(&config, attempt_fd) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
