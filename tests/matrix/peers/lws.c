/* libwebsockets: a client of each URL that it is given, or, without one, a server.
 *
 * An exchange goes step by step, so that a session has one thing to send at a time. */

#include <libwebsockets.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ENOUGH = 1000 };

enum todo { NOTHING, HELLO, ECHO, PING, PONG, FRAGMENTS, TICKS, CLOSE };

struct session {
    unsigned char *message; /* with LWS_PRE bytes before it */
    size_t length;
    int binary;
    enum todo todo;
    int fragment;
    int times; /* how often what there is to do is still to be done */
};

static struct lws_context *context;
static char **urls;
/* How the last connection ended, where libwebsockets tells: when the other side has closed it. */
static char ended[200];
static int enough;
/* Where a client's connection stands. */
static enum { GOING_ON, FAILED, OVER } state;

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

/* What the message that is whole now asks for. */
static enum todo asked(const struct session *session) {
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
        session->todo = asked(session);
        if (session->todo == ECHO)
            session->times = session->length == 0 ? session->times + 1 : 1;
        if (session->todo == TICKS)
            session->times = 2 * atoi((const char *)session->message + LWS_PRE + strlen("/ticks "));
        lws_callback_on_writable(wsi);
    }
    return 0;
}

static int send_next(struct lws *wsi, struct session *session) {
    static const char *const pieces[] = {"one ", "", "two"};
    char *text = (char *)session->message + LWS_PRE;
    enum todo todo = session->todo;
    session->todo = NOTHING;
    switch (todo) {
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
        /* Empty messages come faster than they can be echoed; they are all the same. */
        if (--session->times > 0) {
            session->todo = ECHO;
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
            session->todo = FRAGMENTS;
            lws_callback_on_writable(wsi);
        }
        return write_text(wsi, pieces[at], lws_write_ws_flags(LWS_WRITE_TEXT, at == 0, at == 2));
    }
    case TICKS: {
        int first = session->times-- % 2 == 0;
        if (session->times > 0) {
            session->todo = TICKS;
            lws_callback_on_writable(wsi);
        }
        return write_text(wsi, first ? "tick" : "", lws_write_ws_flags(LWS_WRITE_TEXT, first, !first));
    }
    case CLOSE: {
        char *reason;
        int code = (int)strtol(text + strlen("/close "), &reason, 10);
        reason += *reason == ' ';
        lws_close_reason(wsi, (enum lws_close_status)code, (unsigned char *)reason, strlen(reason));
        return -1; /* which has libwebsockets close it */
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
        session->todo = HELLO;
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
        session->todo = PONG;
        lws_callback_on_writable(wsi);
        return 0;
    case LWS_CALLBACK_SERVER_WRITEABLE:
    case LWS_CALLBACK_CLIENT_WRITEABLE:
        return send_next(wsi, session);
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE: {
        const unsigned char *close = in;
        int code = length < 2 ? 1005 : close[0] << 8 | close[1];
        snprintf(ended, sizeof ended, "ended: %d %.*s", code, length < 2 ? 0 : (int)length - 2, (const char *)close + 2);
        enough = code == ENOUGH;
        return 0;
    }
    case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
        state = FAILED;
        return 0;
    case LWS_CALLBACK_CLOSED:
    case LWS_CALLBACK_CLIENT_CLOSED:
        free(session->message);
        session->message = NULL;
        state = OVER;
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

/* One connection, from its beginning to its end; whether there was one. */
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
    state = GOING_ON;
    enough = 0;
    if (!lws_client_connect_via_info(&info))
        return 0;
    while (state == GOING_ON)
        lws_service(context, 0);
    return state == OVER;
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
        while (connection(*urls) && !enough)
            ;
    lws_context_destroy(context);
    return 0;
}
