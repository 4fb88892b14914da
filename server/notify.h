/* What the service manager is told (systemd's sd_notify protocol: lines sent as one datagram to
 * $NOTIFY_SOCKET): that the server is ready, reloads, stops, and, where a watchdog is set, that
 * its loops turn.  Nobody listens: every call does nothing.
 * Thread: the main thread. */
#ifndef SERVER_NOTIFY_H
#define SERVER_NOTIFY_H

enum { NOTIFY_MAX = 512, NOTIFY_WATCHDOG_LEAST_MS = 500 };

/* Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID and takes them out of the environment. */
void notify_init(void);
/* One message, such as "READY=1\nSTATUS=serving"; never waits. */
void notify_send(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* RELOADING=1 with the time that the protocol wants beside it. */
void notify_reloading(void);
/* How often WATCHDOG=1 is due: half of what the manager waits, at least
 * NOTIFY_WATCHDOG_LEAST_MS.  0: it does not wait for it. */
int notify_watchdog_ms(void);

#endif
