/* What happens to a transaction: the linker sends state_apply here (--wrap), whichever disk there
 * is. */
#include "model/state_internal.h"
#include "tests/sim/sim.h"

int __real_state_apply(struct state *state, const struct state_commit *commit, struct error *err);
int __wrap_state_apply(struct state *state, const struct state_commit *commit, struct error *err);

int __wrap_state_apply(struct state *state, const struct state_commit *commit, struct error *err)
{
    if (disk_is_crashing())
        return error_set(err, ERR_IO, "the power has failed");
    /* Opening is not tried again: a daemon that cannot open its state ends. */
    bool opening = process_history() == NULL;
    if (!opening && !sim.calm && sim_chance(sim.mood.disk_fails)) {
        sim_trace("disk: no space left");
        return error_set(err, ERR_IO, "no space left on the simulated device");
    }
    int status = __real_state_apply(state, commit, err);
    sim_check(status == 0, "the disk: %s", err->text);
    sim_trace("disk: %zu changes are durable", commit->count);
    checks_committed(state);
    return 0;
}
