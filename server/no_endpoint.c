/* Tells of an empty plan. */
#include "server/no_endpoint.h"

#include "schema/chat.h"

enum { DETAIL_MAX = 1024 };

static void write_excluded(const struct plan_inputs *in, const struct plan *p, struct buf *out)
{
    struct buf detail;
    buf_init(&detail, DETAIL_MAX);
    buf_adds(out, "\"excluded\":[");
    for (int i = 0; i < p->n_excluded; i++) {
        const struct exclusion *x = &p->excluded[i];
        buf_reset(&detail);
        plan_detail(in, x, &detail);
        buf_adds(out, i == 0 ? "{\"model\":" : ",{\"model\":");
        json_write_string(out, span_of(x->endpoint->model->slug));
        buf_adds(out, ",\"provider\":");
        json_write_string(out, span_of(x->endpoint->slug));
        buf_addf(out, ",\"reason\":\"%s\",\"detail\":", reason_word(x->reason));
        json_write_string(out, buf_span(&detail));
        buf_addc(out, '}');
    }
    buf_addc(out, ']');
    buf_done(&detail);
}

static void write_excluded_by(const struct plan *p, struct buf *out)
{
    bool seen[REASON_COUNT] = {false};
    const char *comma = "";
    for (int i = 0; i < p->n_excluded; i++)
        seen[p->excluded[i].reason] = true;
    buf_adds(out, "\"excluded_by\":[");
    for (int k = 1; k < REASON_COUNT; k++) {
        if (seen[k]) {
            buf_addf(out, "%s\"%s\"", comma, reason_word((enum reason)k));
            comma = ",";
        }
    }
    buf_addc(out, ']');
}

static const char *code_of(const struct plan *p)
{
    if (p->unknown_model)
        return "model_not_found";
    bool privacy = p->n_excluded > 0;
    for (int i = 0; i < p->n_excluded; i++)
        privacy = privacy && (p->excluded[i].reason == REASON_data_training ||
                              p->excluded[i].reason == REASON_data_zdr);
    return p->n_excluded == 0 ? "no_endpoints"
           : privacy          ? "privacy_restricted"
                              : "constraint_filtered";
}

static void write_availability(const struct plan_inputs *in, const struct plan *p, struct buf *out)
{
    buf_addf(out, "\"availability\":{\"code\":\"%s\",\"retryable\":false,\"requested_models\":[",
             code_of(p));
    for (int i = 0; i < in->chat->n_models; i++) {
        char name[CHAT_MODEL_TEXT_MAX];
        buf_adds(out, i > 0 ? "," : "");
        json_write_string(out, span_of(chat_model_text(&in->chat->models[i], name)));
    }
    buf_adds(out, "],");
    write_excluded(in, p, out);
    buf_addc(out, ',');
    write_excluded_by(p, out);
    buf_addc(out, '}');
}

void no_endpoint_tell(const struct plan_inputs *in, const struct plan *p, struct fail *ret,
                      struct buf *members)
{
    struct buf text;
    char name[CHAT_MODEL_TEXT_MAX];
    if (p->model_forbidden) {
        fail_set(ret, ERR_forbidden, "model", "this key may not use the model %s",
                 chat_model_text(&in->chat->models[0], name));
        return;
    }
    buf_init(&text, FAIL_TEXT_MAX);
    plan_explain_empty(in, p, &text);
    fail_set(ret, ERR_no_endpoint, NULL, "%.*s", (int)text.len, text.len > 0 ? text.ptr : "");
    buf_done(&text);
    if (members == NULL)
        return;
    write_availability(in, p, members);
    if (members->failed)
        buf_reset(members);
}
