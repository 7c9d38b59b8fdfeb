#include "daemon/settings_loading.h"

#include <math.h>
#include <stdio.h>

#define SHARE_ERROR 1e-9 /* of a sum of decimal fractions */

/* ---- reading ---- */

static const char *objection_to_arm(const struct loading *loading, const char *name)
{
    size_t length = strlen(name);
    if (length == 0 || length > ARM_NAME_BYTES_MAX ||
        strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") != length)
        return "an arm's name is 1 to 64 of a-z, A-Z, 0-9, '.', '_' and '-'";
    if (loading->settings->arm_count == ARMS_MAX)
        return "too many arms";
    return NULL;
}

/* "share", "guard.churn": of the arm itself. "model", "lists": overrides, as the file has them. */
static void read_arm_key(struct loading *loading, const char *path, const struct yaml_tree *tree)
{
    char pattern[sizeof ARM_PATH + 256]; /* read_members bounds the path */
    snprintf(pattern, sizeof pattern, ARM_PATH "%s", path);
    const struct row *row = row_find(pattern);
    if (row != NULL)
        read_row(loading, row, &loading->settings->arms[loading->arm - 1], path, tree);
    else if (strcmp(path, "guard") == 0)
        read_map(loading, path, tree, read_arm_key);
    else
        read_section(loading, path, tree);
}

static void read_arm(struct loading *loading, const char *path, const struct yaml_tree *tree)
{
    const char *objection = objection_to_arm(loading, tree->key);
    if (objection != NULL) {
        complain(loading, tree->line, path, "%s", objection);
        return;
    }
    loading->into = settings_add_arm(loading->settings, tree->key)->settings;
    loading->arm = loading->settings->arm_count;
    loading->arm_lines[loading->arm] = tree->line;
    if (tree->kind == YAML_TEXT || tree->kind == YAML_LIST)
        complain(loading, tree->line, "", "must hold keys, indented below it");
    else
        read_members(loading, "", tree, read_arm_key);
    loading->arm = 0;
    loading->into = loading->settings;
}

void read_arms(struct loading *loading)
{
    if (loading->arms != NULL)
        read_map(loading, "arms", loading->arms, read_arm);
    if (loading->settings->arm_count > 0)
        return;
    struct settings_arm *arm = settings_add_arm(loading->settings, "default");
    arm->control = true;
    arm->share = 1;
}

/* ---- how they go together ---- */

/* At the arm's row, if it was given, else at the arm. */
static void complain_of_arm(struct loading *loading, uint32_t i, const char *key, const char *what)
{
    char path[sizeof ARM_PATH + 32];
    snprintf(path, sizeof path, ARM_PATH "%s", key);
    loading->arm = i + 1;
    int line = line_of(loading, path);
    complain(loading, line > 0 ? line : loading->arm_lines[loading->arm], line > 0 ? key : "", "%s",
             what);
    loading->arm = 0;
}

static void check_arm(struct loading *loading, uint32_t i)
{
    const struct settings_arm *arm = &loading->settings->arms[i];
    if (arm->control && arm->shadow)
        complain_of_arm(loading, i, "shadow", "control's lists are published");
    if (arm->control && arm->guard_hit20_drop > 0)
        complain_of_arm(loading, i, "guard.hit20_drop", "control is never stopped");
    if (arm->control && arm->guard_churn > 0)
        complain_of_arm(loading, i, "guard.churn", "control is never stopped");
    if (!arm->control && arm->share < 0)
        complain_of_arm(loading, i, "share", "needs a share of the users, 0 to 1");
}

/* Returns the control arm's number, or -1. */
static int check_control(struct loading *loading)
{
    const struct settings *settings = loading->settings;
    int control = -1;
    for (uint32_t i = 0; i < settings->arm_count; i++) {
        if (settings->arms[i].control && control >= 0)
            complain_of_arm(loading, i, "control", "there is one control arm, and it is above");
        else if (settings->arms[i].control)
            control = (int)i;
    }
    if (control < 0)
        complain(loading, loading->arms->line, "arms", "one of them needs control: true");
    return control;
}

/* What the arms but control leave of the users; the first that takes more than there is is told. */
static double check_shares(struct loading *loading)
{
    const struct settings *settings = loading->settings;
    double left = 1;
    for (uint32_t i = 0; i < settings->arm_count; i++) {
        const struct settings_arm *arm = &settings->arms[i];
        if (arm->control || arm->shadow || arm->share < 0)
            continue;
        if (left >= -SHARE_ERROR && left - arm->share < -SHARE_ERROR)
            complain_of_arm(loading, i, "share", "with the arms above it, more than all users");
        left -= arm->share;
    }
    return left > SHARE_ERROR ? left : 0;
}

void settings_check_arms(struct loading *loading)
{
    struct settings *settings = loading->settings;
    if (loading->arms == NULL || loading->arms->count == 0)
        return; /* the one of ours */
    for (uint32_t i = 0; i < settings->arm_count; i++)
        check_arm(loading, i);
    int control = check_control(loading);
    double left = check_shares(loading);
    if (control < 0)
        return;
    struct settings_arm *arm = &settings->arms[control];
    if (arm->share < 0)
        arm->share = left;
    else if (fabs(arm->share - left) > SHARE_ERROR) {
        char what[96];
        snprintf(what, sizeof what, "the other arms leave %.6g of the users (it may be left out)",
                 left);
        complain_of_arm(loading, (uint32_t)control, "share", what);
    }
}
