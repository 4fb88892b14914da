/* dashboard/index.html, compiled in by dashboard/embed.sh. */
#ifndef DASHBOARD_DASHBOARD_H
#define DASHBOARD_DASHBOARD_H

extern const char dashboard_page[];

#endif
