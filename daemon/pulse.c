#include "daemon/pulse.h"
#include "base/clock.h"
#include "daemon/service.h"

static void beat(uv_timer_t *timer)
{
    struct pulse *pulse = timer->data;
    int64_t now_ns = clock_monotonic_ns();
    histogram_add(&pulse->lateness, (double)(now_ns - pulse->due_ns) * 1e-6);
    if (now_ns - pulse->told_ns >= SERVICE_ALIVE_MS * (int64_t)1000000) {
        service_tell("WATCHDOG=1");
        pulse->told_ns = now_ns;
    }
    pulse_start(pulse);
}

void pulse_init(struct pulse *pulse, uv_loop_t *loop)
{
    uv_timer_init(loop, &pulse->timer);
    pulse->timer.data = pulse;
}

/* Due by the loop's own idea of now, which is the timer's, too; it may be old. */
void pulse_start(struct pulse *pulse)
{
    uv_update_time(pulse->timer.loop);
    pulse->due_ns = (int64_t)(uv_now(pulse->timer.loop) + PULSE_MS) * 1000000;
    uv_timer_start(&pulse->timer, beat, PULSE_MS, 0);
}

void pulse_close(struct pulse *pulse)
{
    uv_close((uv_handle_t *)&pulse->timer, NULL);
}
