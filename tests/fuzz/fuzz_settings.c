/* The settings' YAML: refused with complaints, or taken, and then fit to be shown and reloaded. */
#include "daemon/settings.h"
#include "tests/fuzz/fuzz.h"

static void use(const struct settings *settings)
{
    struct buffer text = {0}, complaints = {0};
    struct consumer_settings consumer;
    struct history_settings history;
    struct publisher_settings publisher;
    struct state_meta meta = {.nonce = "0123456789abcdef"};
    settings_write_arms(&text, settings);
    settings_write_shape(&text, settings);
    settings_consumer(settings, &consumer);
    settings_history(settings, &history);
    settings_publisher(settings, &meta, "log", &publisher);
    MUST(settings_may_reload(settings, settings, &complaints));
    buffer_deinit(&text);
    buffer_deinit(&complaints);
}

/* Secrets are read from files and the environment, which are not of the input's making. */
static bool names_a_file(struct slice bytes)
{
    return memmem(bytes.data, bytes.length, "file:", 5) != NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct settings *settings = NULL;
    struct buffer complaints = {0};
    struct error err = {0};
    if (size == 0 || names_a_file((struct slice){(const char *)data, (uint32_t)size}))
        return 0;
    const char *path = file_of(data, size, ".yaml");
    int status = settings_load(&settings, path, &complaints, &err);
    if (status == 0)
        use(settings);
    else
        MUST(err.text[0] != '\0');
    settings_place_complaints(&complaints, path);
    if (status == 0)
        settings_free(settings);
    buffer_deinit(&complaints);
    return 0;
}
