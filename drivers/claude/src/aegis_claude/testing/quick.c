// A fake `claude` that starts in about a millisecond and answers at once: it speaks stream-json, and has no model,
// no tools and no memory. What a turn or a start costs beside it is what the harness costs.
//
// Its own flags stand before Claude Code's: --chunks N (so many pieces of text in an answer), --pause MS (between two),
// --size BYTES (of a piece), --spin MS (so much CPU time before it reads), --stamps FILE (a line with the monotonic
// clock's nanoseconds for each prompt, as soon as it was read).
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static char session[80], *chunk;
static int chunks = 1, interrupted;
static long pause_ms, size = 4, spin_ms;
static int stamps = -1;
static char *held;
static size_t have, room;

static long long now(clockid_t clock) {
    struct timespec at;
    clock_gettime(clock, &at);
    return at.tv_sec * 1000000000LL + at.tv_nsec;
}

// Copies the text after `key`, up to the next quote: keys and ids have no escapes, and inside a text quotes have one.
static int field(const char *line, const char *key, char *into, size_t most) {
    const char *at = strstr(line, key);
    if (!at) return 0;
    at += strlen(key);
    size_t length = strcspn(at, "\"");
    if (length >= most) return 0;
    memcpy(into, at, length);
    into[length] = 0;
    return 1;
}

static void hear(const char *line);

// Reads what has come, and hears each whole line; returns 0 at the end of the input.
static int take(int wait_ms) {
    struct pollfd in = {.fd = 0, .events = POLLIN};
    if (poll(&in, 1, wait_ms) < 1) return 1;
    if (room - have < 65536) held = realloc(held, room += 262144);
    ssize_t got = read(0, held + have, room - have - 1);
    if (got <= 0) return 0;
    have += got;
    held[have] = 0;
    return 1;
}

static int hear_all(void) {
    char *end;
    while (held && (end = memchr(held, '\n', have))) {
        size_t length = end - held + 1;
        char *line = malloc(length);
        memcpy(line, held, length);
        line[length - 1] = 0;
        memmove(held, held + length, have - length + 1);
        have -= length;
        hear(line);
        free(line);
    }
    return 1;
}

static void answer(const char *line) {
    char uuid[80] = "", stamp[32];
    if (stamps >= 0 && write(stamps, stamp, snprintf(stamp, sizeof stamp, "%lld\n", now(CLOCK_MONOTONIC))) < 0) exit(3);
    field(line, "\"uuid\":\"", uuid, sizeof uuid);
    printf("{\"type\":\"command_lifecycle\",\"command_uuid\":\"%s\",\"state\":\"started\",\"session_id\":\"%s\"}\n", uuid, session);
    printf("{\"type\":\"system\",\"subtype\":\"init\",\"session_id\":\"%s\",\"tools\":[\"Bash\"],\"mcp_servers\":[],\"model\":\"quick\","
           "\"permissionMode\":\"default\",\"slash_commands\":[],\"claude_code_version\":\"2.1.329\"}\n", session);
    interrupted = 0;
    for (int n = 0; n < chunks && !interrupted; n++) {
        printf("{\"type\":\"assistant\",\"message\":{\"id\":\"m1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"quick\","
               "\"content\":[{\"type\":\"text\",\"text\":\"%s\"}],\"usage\":{\"input_tokens\":1,\"output_tokens\":1}},"
               "\"parent_tool_use_id\":null,\"session_id\":\"%s\"}\n", chunk, session);
        if (pause_ms) {
            fflush(stdout);
            long long until = now(CLOCK_MONOTONIC) + pause_ms * 1000000LL, left;
            while (!interrupted && (left = until - now(CLOCK_MONOTONIC)) > 0) {
                if (!take(left / 1000000 + 1)) exit(0);
                if (held && have && strstr(held, "\"subtype\":\"interrupt\"") && hear_all()) interrupted = 1;
            }
        }
    }
    printf("{\"type\":\"result\",\"subtype\":\"%s\",\"is_error\":%s,\"num_turns\":1,\"duration_ms\":1,\"stop_reason\":\"end_turn\","
           "\"terminal_reason\":\"%s\",\"permission_denials\":[],\"user_message_uuids\":[\"%s\"],\"result\":\"ok\","
           "\"usage\":{\"input_tokens\":5,\"output_tokens\":2,\"cache_read_input_tokens\":0,\"cache_creation_input_tokens\":0},"
           "\"modelUsage\":{\"quick\":{\"inputTokens\":5,\"outputTokens\":2,\"cacheReadInputTokens\":0,\"cacheCreationInputTokens\":0,"
           "\"costUSD\":0.0}},\"total_cost_usd\":0.0,\"session_id\":\"%s\"}\n",
           interrupted ? "error_during_execution" : "success", interrupted ? "true" : "false",
           interrupted ? "aborted_streaming" : "completed", uuid, session);
    printf("{\"type\":\"command_lifecycle\",\"command_uuid\":\"%s\",\"state\":\"%s\",\"session_id\":\"%s\"}\n", uuid,
           interrupted ? "cancelled" : "completed", session);
    fflush(stdout);
}

static void hear(const char *line) {
    char id[80], kind[80];
    if (strstr(line, "\"type\":\"user\"")) {
        answer(line);
    } else if (strstr(line, "\"type\":\"control_request\"") && field(line, "\"request_id\":\"", id, sizeof id)) {
        if (!field(line, "\"subtype\":\"", kind, sizeof kind)) return;
        const char *more = strcmp(kind, "get_settings") ? "" : "\"effective\":{}";
        printf("{\"type\":\"control_response\",\"response\":{\"subtype\":\"success\",\"request_id\":\"%s\",\"response\":{%s}}}\n", id, more);
        fflush(stdout);
    }
}

int main(int count, char **words) {
    snprintf(session, sizeof session, "quick-%d-%lld", getpid(), now(CLOCK_REALTIME));
    for (int n = 1; n < count; n++) {
        const char *word = words[n], *value = n + 1 < count ? words[n + 1] : "";
        if (!strcmp(word, "--version")) return puts("2.1.329 (Claude Code)"), 0;
        if (!strcmp(word, "--resume")) snprintf(session, sizeof session, "%s", value);
        if (!strcmp(word, "--chunks")) chunks = atoi(value);
        if (!strcmp(word, "--pause")) pause_ms = atol(value);
        if (!strcmp(word, "--size")) size = atol(value);
        if (!strcmp(word, "--spin")) spin_ms = atol(value);
        if (!strcmp(word, "--stamps")) stamps = open(value, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    }
    chunk = malloc(size + 1);
    memset(chunk, 'w', size);
    chunk[size] = 0;
    while (now(CLOCK_PROCESS_CPUTIME_ID) < spin_ms * 1000000LL) {}
    while (take(-1)) hear_all();
    return 0;
}
