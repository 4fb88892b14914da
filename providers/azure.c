/* OpenAI's protocol on Azure: other addresses, the key in api-key.
 * learn.microsoft.com/azure/ai-foundry/openai/reference (deployments and api-version),
 * .../openai/api-version-lifecycle (the /openai/v1 surface). */
#include "providers/openai.h"

/* The last of the dated versions; newer features are only in /openai/v1. */
static const char default_version[] = "2025-04-01-preview";
/* Of the model inference surface (…/models). */
static const char models_version[] = "2024-05-01-preview";

enum { AZURE_PATH_MAX = 4096 };

static bool ends_in(struct span s, const char *tail)
{
    size_t n = strlen(tail);
    return s.len >= n && memcmp(s.ptr + s.len - n, tail, n) == 0;
}

static bool holds(struct span s, const char *piece)
{
    size_t n = strlen(piece);
    for (size_t i = 0; i + n <= s.len; i++) {
        if (memcmp(s.ptr + i, piece, n) == 0)
            return true;
    }
    return false;
}

/* A deployment's name as a part of a path. */
static void add_escaped(struct buf *out, const char *name)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    for (; *name != '\0'; name++) {
        if (strchr(plain, *name) != NULL)
            buf_addc(out, *name);
        else
            buf_addf(out, "%%%02X", (unsigned)(unsigned char)*name);
    }
}

/* What is added to base (without its query), and the version to ask for, NULL: none needed. */
static const char *add_path(struct span base, const char *deployment, struct buf *path)
{
    const char *version = default_version;
    if (ends_in(base, "/v1")) {
        version = NULL;
    } else if (ends_in(base, "/models")) {
        version = models_version;
    } else if (!holds(base, "/deployments/")) {
        buf_adds(path, ends_in(base, "/openai") ? "/deployments/" : "/openai/deployments/");
        add_escaped(path, deployment);
    }
    buf_adds(path, "/chat/completions");
    return version;
}

/* base_url may have a query of its own: "?api-version=2024-10-21". */
static void set_url(struct draft *d)
{
    const char *base_url = d->target->base_url;
    struct span base = {base_url, strcspn(base_url, "?")};
    struct span query = span_of(base_url + base.len);
    while (base.len > 0 && base.ptr[base.len - 1] == '/')
        base.len--;
    struct buf address, path;
    buf_init(&address, AZURE_PATH_MAX);
    buf_init(&path, AZURE_PATH_MAX);
    buf_add_span(&address, base);
    const char *version = add_path(base, d->target->upstream_model, &path);
    if (query.len > 1)
        buf_add_span(&path, query);
    else if (version != NULL)
        buf_addf(&path, "?api-version=%s", version);
    bool good = !address.failed && !path.failed && address.len > 0;
    if (!good || !upreq_set_url(d->up, address.ptr, path.ptr)) {
        fail_set(d->reterr, ERR_internal, NULL, "the provider's base_url cannot be used");
        d->ok = false;
    }
    buf_done(&address);
    buf_done(&path);
}

static int build(const struct provider_ask *ask, struct upreq *ret_up, struct fail *reterr)
{
    struct draft d = {.up = ret_up, .target = ask->target, .reterr = reterr, .ok = true};
    set_url(&d);
    draft_credential(&d, "api-key", "");
    return openai_build(ask, &openai_dialect_azure, &d);
}

static void *stream_open(const struct provider_reading *reading)
{
    return openai_stream_open(reading, &openai_dialect_azure);
}

static enum verdict read_body(const struct provider_reading *reading, struct span body,
                              struct usage_report *ret_usage)
{
    return openai_judge_body(reading, &openai_dialect_azure, body, ret_usage);
}

static enum chat_door native_door(const struct provider_target *target)
{
    (void)target;
    return DOOR_OPENAI;
}

static bool refuses(const struct chat *chat, const struct provider_target *target)
{
    (void)target;
    return openai_refuses(chat, &openai_dialect_azure);
}

const struct provider provider_azure_openai = {
    .protocol = "azure-openai",
    .native_door = native_door,
    .refuses = refuses,
    .takes_query = true,
    .stream_type = "text/event-stream",
    .build = build,
    .stream_open = stream_open,
    .stream_feed = openai_stream_feed,
    .stream_at_boundary = openai_stream_at_boundary,
    .stream_finish = openai_stream_finish,
    .stream_state = openai_stream_state,
    .stream_close = openai_stream_close,
    .read_body = read_body,
    .is_error_body = openai_is_error_body,
    .read_error = openai_read_error,
    .weigh_error = openai_weigh_error,
};
