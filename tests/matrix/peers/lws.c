/* libwebsockets: a client of each given URL or, without URLs, a server.
 *
 * An exchange runs step by step, so a session has only one pending action. */

#include <libwebsockets.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DONE = 1000 };

enum action { NOTHING, HELLO, ECHO, PING, PONG, FRAGMENTS, TICKS, CLOSE };

struct session {
    unsigned char *message; /* with LWS_PRE bytes before it */
    size_t length;
    int binary;
    enum action action;
    int fragment;
    int repeats; /* how many times the action remains to be executed */
};

static struct lws_context *context;
static char **urls;
/* How the last connection ended. libwebsockets reports it only if the other side closed. */
static char ended[200];
static int done;
/* The state of a client's connection. */
static enum { RUNNING, FAILED, CLOSED } state;

static int append(struct session *session, const void *data, size_t length) {
    unsigned char *message = realloc(session->message, LWS_PRE + session->length + length + 1);
    if (!message)
        return -1;
    memcpy(message + LWS_PRE + session->length, data, length);
    session->message = message;
    session->length += length;
    message[LWS_PRE + session->length] = 0;
    return 0;
}

static int write_text(struct lws *wsi, const char *text, enum lws_write_protocol protocol) {
    unsigned char buffer[LWS_PRE + 512];
    size_t length = strlen(text);
    if (length > 512)
        return -1;
    memcpy(buffer + LWS_PRE, text, length);
    return lws_write(wsi, buffer + LWS_PRE, length, protocol) < 0 ? -1 : 0;
}

/* Returns the action that the complete message requests. */
static enum action command_of(const struct session *session) {
    const char *text = (const char *)session->message + LWS_PRE;
    if (session->binary || session->length == 0)
        return ECHO;
    if (!strncmp(text, "/close ", 7))
        return CLOSE;
    if (!strncmp(text, "/ping ", 6))
        return PING;
    if (!strncmp(text, "/ticks ", 7))
        return TICKS;
    return strcmp(text, "/fragments") ? ECHO : FRAGMENTS;
}

static int receive(struct lws *wsi, struct session *session, const void *data, size_t length) {
    if (lws_is_first_fragment(wsi)) {
        session->length = 0;
        session->binary = lws_frame_is_binary(wsi);
    }
    if (append(session, data, length))
        return -1;
    if (lws_is_final_fragment(wsi) && !lws_remaining_packet_payload(wsi)) {
        session->action = command_of(session);
        if (session->action == ECHO)
            session->repeats = session->length == 0 ? session->repeats + 1 : 1;
        if (session->action == TICKS)
            session->repeats = 2 * atoi((const char *)session->message + LWS_PRE + strlen("/ticks "));
        lws_callback_on_writable(wsi);
    }
    return 0;
}

static int send_next(struct lws *wsi, struct session *session) {
    static const char *const fragments[] = {"one ", "", "two"};
    char *text = (char *)session->message + LWS_PRE;
    enum action action = session->action;
    session->action = NOTHING;
    switch (action) {
    case NOTHING:
        return 0;
    case HELLO: {
        char hello[400];
        const char *version = lws_get_library_version();
        snprintf(hello, sizeof hello, "hello\nversion: %.*s\nsubprotocol: %s\n%s", (int)strcspn(version, "- "), version,
                 lws_get_protocol(wsi)->name, ended);
        ended[0] = 0;
        return write_text(wsi, hello, LWS_WRITE_TEXT);
    }
    case ECHO: {
        /* Empty messages arrive faster than their echoes are written; they are all equal. */
        if (--session->repeats > 0) {
            session->action = ECHO;
            lws_callback_on_writable(wsi);
        }
        unsigned char *message = session->message + LWS_PRE;
        return lws_write(wsi, message, session->length, session->binary ? LWS_WRITE_BINARY : LWS_WRITE_TEXT) < 0 ? -1 : 0;
    }
    case PING:
        return write_text(wsi, text + strlen("/ping "), LWS_WRITE_PING);
    case PONG:
        return write_text(wsi, text, LWS_WRITE_TEXT);
    case FRAGMENTS: {
        int at = session->fragment++;
        if (at < 2) {
            session->action = FRAGMENTS;
            lws_callback_on_writable(wsi);
        }
        return write_text(wsi, fragments[at], lws_write_ws_flags(LWS_WRITE_TEXT, at == 0, at == 2));
    }
    case TICKS: {
        int first = session->repeats-- % 2 == 0;
        if (session->repeats > 0) {
            session->action = TICKS;
            lws_callback_on_writable(wsi);
        }
        return write_text(wsi, first ? "tick" : "", lws_write_ws_flags(LWS_WRITE_TEXT, first, !first));
    }
    case CLOSE: {
        char *reason;
        int code = (int)strtol(text + strlen("/close "), &reason, 10);
        reason += *reason == ' ';
        lws_close_reason(wsi, (enum lws_close_status)code, (unsigned char *)reason, strlen(reason));
        return -1; /* libwebsockets then closes the connection */
    }
    }
    return -1;
}

static int callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t length) {
    struct session *session = user;
    switch (reason) {
    case LWS_CALLBACK_ESTABLISHED:
    case LWS_CALLBACK_CLIENT_ESTABLISHED:
        memset(session, 0, sizeof *session);
        session->action = HELLO;
        lws_callback_on_writable(wsi);
        return 0;
    case LWS_CALLBACK_RECEIVE:
    case LWS_CALLBACK_CLIENT_RECEIVE:
        return receive(wsi, session, in, length);
    case LWS_CALLBACK_RECEIVE_PONG:
    case LWS_CALLBACK_CLIENT_RECEIVE_PONG:
        session->length = 0;
        if (append(session, "/pong ", 6) || append(session, in, length))
            return -1;
        session->action = PONG;
        lws_callback_on_writable(wsi);
        return 0;
    case LWS_CALLBACK_SERVER_WRITEABLE:
    case LWS_CALLBACK_CLIENT_WRITEABLE:
        return send_next(wsi, session);
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE: {
        const unsigned char *close = in;
        int code = length < 2 ? 1005 : close[0] << 8 | close[1];
        snprintf(ended, sizeof ended, "ended: %d %.*s", code, length < 2 ? 0 : (int)length - 2, (const char *)close + 2);
        done = code == DONE;
        return 0;
    }
    case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
        state = FAILED;
        return 0;
    case LWS_CALLBACK_CLOSED:
    case LWS_CALLBACK_CLIENT_CLOSED:
        free(session->message);
        session->message = NULL;
        state = CLOSED;
        return 0;
    default:
        return lws_callback_http_dummy(wsi, reason, user, in, length);
    }
}

static const struct lws_protocols protocols[] = {
    {"matrix", callback, sizeof(struct session), 65536, 0, NULL, 0},
    {NULL, NULL, 0, 0, 0, NULL, 0},
};

static const struct lws_extension extensions[] = {
    {"permessage-deflate", lws_extension_callback_pm_deflate, "permessage-deflate; client_max_window_bits"},
    {NULL, NULL, NULL},
};

/* Runs one connection to its end; returns whether it was established. */
static int connection(const char *url) {
    struct lws_client_connect_info info;
    char address[100];
    int port;
    if (sscanf(url, "ws://%99[^:]:%d/", address, &port) != 2)
        return 0;
    memset(&info, 0, sizeof info);
    info.context = context;
    info.address = info.host = address;
    info.port = port;
    info.path = "/";
    info.protocol = protocols[0].name;
    state = RUNNING;
    done = 0;
    if (!lws_client_connect_via_info(&info))
        return 0;
    while (state == RUNNING)
        lws_service(context, 0);
    return state == CLOSED;
}

int main(int count, char **arguments) {
    struct lws_context_creation_info info;
    lws_set_log_level(LLL_ERR, NULL);
    memset(&info, 0, sizeof info);
    urls = arguments + 1;
    info.port = count > 1 ? CONTEXT_PORT_NO_LISTEN : 0;
    info.iface = count > 1 ? NULL : "127.0.0.1";
    info.protocols = protocols;
    info.extensions = extensions;
    info.gid = info.uid = -1;
    context = lws_create_context(&info);
    if (!context)
        return 1;
    if (count == 1) {
        printf("ws://127.0.0.1:%d/\n", lws_get_vhost_listen_port(lws_get_vhost_by_name(context, "default")));
        fflush(stdout);
        while (lws_service(context, 0) >= 0)
            ;
    }
    for (; *urls; urls++)
        while (connection(*urls) && !done)
            ;
    lws_context_destroy(context);
    return 0;
}
