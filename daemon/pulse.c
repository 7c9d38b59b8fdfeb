#include "daemon/pulse.h"
#include "base/clock.h"

static void beat(uv_timer_t *timer)
{
    struct pulse *pulse = timer->data;
    histogram_add(&pulse->lateness, (double)(clock_monotonic_ns() - pulse->due_ns) * 1e-6);
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
