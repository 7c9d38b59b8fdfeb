/* What the service manager is told: the datagrams of sd_notify(3), "READY=1" and its like, to the
 * socket that NOTIFY_SOCKET names. Without one, or where nobody reads it, nothing happens. Any
 * thread; never blocks. https://www.freedesktop.org/software/systemd/man/sd_notify.html */
#ifndef FRESHET_DAEMON_SERVICE_H
#define FRESHET_DAEMON_SERVICE_H

#define SERVICE_ALIVE_MS 1000 /* between two of "WATCHDOG=1" */

void service_tell(const char *what);

#endif
