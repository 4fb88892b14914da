/* Whether a request's provider_configs are in order. */
#include "server/provider_configs.h"

#include <string.h>

#include "server/planning.h"

/* Of a provider, or of an endpoint ("provider/variant")? */
static bool is_known(const struct catalog *catalog, const char *slug)
{
    bool found = catalog_provider(catalog, span_of(slug)) != NULL;
    for (int i = 0; !found && strchr(slug, '/') != NULL && i < catalog->n_endpoints; i++) {
        found = strcmp(catalog->endpoints[i].slug, slug) == 0;
    }
    return found;
}

/* Would its protocol be another than that of an endpoint it is for? */
static bool is_other_format(const struct catalog *catalog, const char *slug,
                            const struct provider_config *c)
{
    for (int i = 0; c->native_format != 0 && i < catalog->n_endpoints; i++) {
        const struct endpoint *e = &catalog->endpoints[i];
        bool is_for = strcmp(e->slug, slug) == 0 || strcmp(e->provider->slug, slug) == 0;
        if (is_for && planning_is_other_format(c, e)) {
            return true;
        }
    }
    return false;
}

/* What a config says of how a credential is sent, but brings none to be sent so: the operator's
 * would be.  A provider may tell it then, as a bad version of its protocol, and half of a key pair
 * is there to sign with and is never sent.  NULL: nothing. */
static const char *lent_setting(const struct catalog *catalog, const char *slug,
                                const struct provider_config *c)
{
    if (c->api_key == 0 && (c->has_auth_type || c->auth_header_name != 0)) {
        return "auth_type and auth_header_name say how its own api_key is sent";
    }
    if (c->api_key == 0 && c->base_url == 0 && is_other_format(catalog, slug, c)) {
        return "native_format has another header for the api_key than the catalog";
    }
    return NULL;
}

static int check_config(const struct prefs *p, const struct provider_config *c,
                        const struct catalog *catalog, const struct reach_list *allowed,
                        struct fail *reterr)
{
    const char *slug = prefs_str(p, c->slug), *url = prefs_str(p, c->base_url);
    if (!is_known(catalog, slug)) {
        return fail_set(reterr, ERR_bad_request, "provider_configs",
                        "provider_configs.%s: this server's catalog has no provider and no "
                        "endpoint of that slug: nobody would be sent it",
                        slug);
    }
    const char *lent = lent_setting(catalog, slug, c);
    if (lent != NULL) {
        return fail_set(reterr, ERR_bad_request, "provider_configs",
                        "provider_configs.%s: %s: give one too", slug, lent);
    }
    if (allowed != NULL && url != NULL && reach_of_url(url, allowed) == REACH_NOWHERE) {
        return fail_set(reterr, ERR_forbidden, "provider_configs",
                        "the host of provider_configs base_url is not in the operator's "
                        "allow-list (serve --allow-base-url)");
    }
    return 0;
}

int provider_configs_check(const struct prefs *p, const struct catalog *catalog,
                           const struct key_row *key, const struct reach_list *allowed,
                           struct fail *reterr)
{
    if (p->n_configs > 0 && key != NULL && !key->allow_provider_configs) {
        return fail_set(reterr, ERR_forbidden, "provider_configs",
                        "this key may not use provider_configs (created without "
                        "--allow-provider-configs)");
    }
    for (int i = 0; i < p->n_configs; i++) {
        if (check_config(p, &p->configs[i], catalog, allowed, reterr) != 0) {
            return -1;
        }
    }
    return 0;
}
