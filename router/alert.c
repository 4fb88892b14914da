/* Thresholds and patience. */
#include "router/alert.h"

#include <string.h>

bool alert_rules_add(struct alert_rules *r, int percent)
{
    int at = 0;
    while (at < r->n && r->percent[at] < percent)
        at++;
    if (at < r->n && r->percent[at] == percent)
        return true;
    if (percent < 1 || percent > 100 || r->n == ALERT_RULES_MAX)
        return false;
    memmove(&r->percent[at + 1], &r->percent[at], (size_t)(r->n - at) * sizeof(r->percent[0]));
    r->percent[at] = percent;
    r->n++;
    return true;
}

/* spent * 100 >= cap * percent without the products, which may not fit: the threshold itself,
 * rounded up, is never above the cap. */
bool alert_reached(int64_t spent_nusd, int64_t cap_nusd, int percent)
{
    if (cap_nusd <= 0)
        return false;
    int64_t whole = cap_nusd / 100 * percent;
    int64_t rest = (cap_nusd % 100 * percent + 99) / 100;
    return spent_nusd >= whole + rest;
}

int alert_backoff_s(int64_t tries)
{
    static const int waits_s[] = {1, 5, 30, 120, 600, 1800, 3600};
    enum { N = sizeof(waits_s) / sizeof(waits_s[0]) };
    return waits_s[tries < 1 ? 0 : tries <= N ? tries - 1 : N - 1];
}
