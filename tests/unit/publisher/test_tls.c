/* TLS against a server in memory, with certificates made here: what no real server does when asked.
 * tests/e2e/test_redis_tls.py has the real ones. */
#include "publisher/tls.h"

#include "base/mem.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define HOST "redis.example"
#define DAY_S 86400L
#define BIG_BYTES (3 << 20) /* many records */
#define ROUNDS_MAX 100000

/* ---- certificates ---- */

struct identity {
    EVP_PKEY *key;
    X509 *certificate;
};

static void add_extension(X509 *certificate, int kind, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, kind, value);
    assert_non_null(extension);
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
}

/* Signed by `issuer` (NULL: by itself), valid from and to so many seconds from now. */
static struct identity make_identity(const char *names, const struct identity *issuer, long from_s,
                                     long to_s)
{
    static long serial = 1;
    struct identity made = {EVP_EC_gen("P-256"), X509_new()};
    X509_set_version(made.certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(made.certificate), serial++);
    X509_gmtime_adj(X509_getm_notBefore(made.certificate), from_s);
    X509_gmtime_adj(X509_getm_notAfter(made.certificate), to_s);
    X509_set_pubkey(made.certificate, made.key);
    X509_NAME *subject = X509_get_subject_name(made.certificate);
    const char *common = issuer == NULL ? "an authority" : "a server";
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)common, -1, -1,
                               0);
    if (issuer == NULL)
        add_extension(made.certificate, NID_basic_constraints, "critical,CA:TRUE");
    else
        add_extension(made.certificate, NID_subject_alt_name, names);
    const struct identity *signer = issuer != NULL ? issuer : &made;
    X509_set_issuer_name(made.certificate, X509_get_subject_name(signer->certificate));
    assert_true(X509_sign(made.certificate, signer->key, EVP_sha256()) > 0);
    return made;
}

static void drop_identity(struct identity *identity)
{
    EVP_PKEY_free(identity->key);
    X509_free(identity->certificate);
}

/* ---- a server and a client, and the bytes between them ---- */

struct pair {
    struct identity authority, own;
    char ca_file[64];
    SSL_CTX *context;
    SSL *server;
    BIO *to_server, *from_server;
    struct tls_settings settings;
    struct tls *tls;
    size_t feed_bytes; /* the client is given that many at a time */
};

static void write_authority(struct pair *pair)
{
    snprintf(pair->ca_file, sizeof pair->ca_file, "/tmp/freshet-test-tls-XXXXXX");
    int fd = mkstemp(pair->ca_file);
    FILE *file = fdopen(fd, "w");
    assert_non_null(file);
    PEM_write_X509(file, pair->authority.certificate);
    fclose(file);
}

static struct pair *make_pair(const char *names, long from_s, long to_s, int version)
{
    struct pair *pair = mem_zalloc(sizeof *pair);
    pair->authority = make_identity(NULL, NULL, -DAY_S, DAY_S);
    pair->own = make_identity(names, &pair->authority, from_s, to_s);
    write_authority(pair);
    pair->context = SSL_CTX_new(TLS_server_method());
    SSL_CTX_set_max_proto_version(pair->context, version);
    SSL_CTX_use_certificate(pair->context, pair->own.certificate);
    SSL_CTX_use_PrivateKey(pair->context, pair->own.key);
    pair->server = SSL_new(pair->context);
    pair->to_server = BIO_new(BIO_s_mem());
    pair->from_server = BIO_new(BIO_s_mem());
    SSL_set_bio(pair->server, pair->to_server, pair->from_server);
    SSL_set_accept_state(pair->server);
    pair->settings = (struct tls_settings){.enabled = true, .ca_file = pair->ca_file};
    pair->feed_bytes = 65536;
    struct error err;
    assert_int_equal(tls_new(&pair->tls, &pair->settings, HOST, &err), 0);
    return pair;
}

static void drop_pair(struct pair *pair)
{
    tls_free(pair->tls);
    SSL_free(pair->server);
    SSL_CTX_free(pair->context);
    unlink(pair->ca_file);
    drop_identity(&pair->authority);
    drop_identity(&pair->own);
    free(pair);
}

static void carry_to_server(struct pair *pair)
{
    struct buffer out = {0};
    tls_take_output(pair->tls, &out);
    if (out.length > 0)
        BIO_write(pair->to_server, out.data, (int)out.length);
    buffer_deinit(&out);
}

/* One portion; false if there was none. */
static bool carry_to_client(struct pair *pair)
{
    char bytes[65536];
    int count = BIO_read(pair->from_server, bytes, (int)pair->feed_bytes);
    if (count > 0)
        tls_feed(pair->tls, bytes, (size_t)count);
    return count > 0;
}

/* 1, or what tls_handshake said. */
static int shake_hands(struct pair *pair, struct error *err)
{
    int rc = 0;
    for (int i = 0; i < ROUNDS_MAX && rc == 0; i++) {
        rc = tls_handshake(pair->tls, err);
        carry_to_server(pair);
        SSL_do_handshake(pair->server);
        if (rc == 0 && !carry_to_client(pair))
            break;
    }
    return rc;
}

static struct pair *connected(int version)
{
    struct pair *pair = make_pair("DNS:" HOST, -DAY_S, DAY_S, version);
    struct error err;
    assert_int_equal(shake_hands(pair, &err), TLS_READY);
    return pair;
}

/* All that the server has said, as the client reads it. */
static int read_all(struct pair *pair, struct buffer *out, struct error *err)
{
    struct slice data;
    int rc;
    do {
        while ((rc = tls_read(pair->tls, &data, err)) == 1)
            buffer_add(out, data.data, data.length);
    } while (rc == 0 && carry_to_client(pair));
    return rc;
}

static void assert_server_says(struct pair *pair, const char *data, size_t bytes)
{
    struct buffer heard = {0};
    struct error err;
    size_t written;
    assert_int_equal(SSL_write_ex(pair->server, data, bytes, &written), 1);
    assert_int_equal(read_all(pair, &heard, &err), 0);
    assert_int_equal(heard.length, bytes);
    assert_memory_equal(heard.data, data, bytes);
    buffer_deinit(&heard);
}

static void assert_client_says(struct pair *pair, const char *data, size_t bytes)
{
    struct error err;
    char *heard = mem_alloc(bytes);
    size_t total = 0, count;
    assert_int_equal(tls_write(pair->tls, data, bytes, &err), 0);
    carry_to_server(pair);
    while (total < bytes && SSL_read_ex(pair->server, heard + total, bytes - total, &count) == 1)
        total += count;
    assert_int_equal(total, bytes);
    assert_memory_equal(heard, data, bytes);
    free(heard);
}

static void assert_both_speak(struct pair *pair)
{
    assert_client_says(pair, "PING", 4);
    assert_server_says(pair, "PONG", 4);
}

static void assert_contains(const struct error *err, const char *text)
{
    if (strstr(err->text, text) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", err->text, text);
}

/* ---- tests ---- */

static void test_the_stream_arrives_whole_whatever_the_pieces(void **state)
{
    static const size_t pieces[] = {1, 7, 65536};
    char *big = mem_alloc(BIG_BYTES);
    for (size_t i = 0; i < BIG_BYTES; i++)
        big[i] = (char)(i * 2654435761u >> 13);
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        for (size_t i = 0; i < 3; i++) {
            struct pair *pair = make_pair("DNS:" HOST, -DAY_S, DAY_S, version);
            struct error err;
            pair->feed_bytes = pieces[i];
            assert_int_equal(shake_hands(pair, &err), TLS_READY);
            size_t bytes = i == 2 ? BIG_BYTES : 40000;
            assert_client_says(pair, big, bytes);
            assert_server_says(pair, big, bytes);
            drop_pair(pair);
        }
    }
    free(big);
}

static void test_old_versions_are_refused(void **state)
{
    struct pair *pair = make_pair("DNS:" HOST, -DAY_S, DAY_S, TLS1_1_VERSION);
    struct error err;
    SSL_set_security_level(pair->server, 0);
    SSL_set_min_proto_version(pair->server, TLS1_VERSION);
    assert_int_equal(shake_hands(pair, &err), ERR_DOWN);
    assert_contains(&err, "TLS 1.2");
    drop_pair(pair);
}

static void assert_refused(const char *names, long from_s, long to_s, const char *why)
{
    struct pair *pair = make_pair(names, from_s, to_s, TLS1_3_VERSION);
    struct error err;
    assert_int_equal(shake_hands(pair, &err), ERR_DOWN);
    assert_contains(&err, why);
    drop_pair(pair);
}

static void test_certificates_that_do_not_hold_are_refused(void **state)
{
    assert_refused("DNS:" HOST, -2 * DAY_S, -DAY_S, "has expired");
    assert_refused("DNS:" HOST, DAY_S, 2 * DAY_S, "is not valid before");
    assert_refused("DNS:other.example,IP:10.1.2.3", -DAY_S, DAY_S,
                   "is for other.example, 10.1.2.3, not for " HOST);
    assert_refused("DNS:*.redis.example", -DAY_S, DAY_S, "not for " HOST);
}

static void test_another_authority_is_refused_and_named(void **state)
{
    struct pair *pair = make_pair("DNS:" HOST, -DAY_S, DAY_S, TLS1_3_VERSION);
    struct identity stranger = make_identity(NULL, NULL, -DAY_S, DAY_S);
    struct identity his = make_identity("DNS:" HOST, &stranger, -DAY_S, DAY_S);
    struct error err;
    SSL_use_certificate(pair->server, his.certificate);
    SSL_use_PrivateKey(pair->server, his.key);
    assert_int_equal(shake_hands(pair, &err), ERR_DOWN);
    assert_contains(&err, pair->ca_file);
    assert_contains(&err, "redis.tls_ca_file");
    drop_identity(&stranger);
    drop_identity(&his);
    drop_pair(pair);
}

static void test_without_a_file_the_systems_authorities_are_believed(void **state)
{
    struct pair *pair = make_pair("DNS:" HOST, -DAY_S, DAY_S, TLS1_3_VERSION);
    struct error err;
    setenv("SSL_CERT_FILE", pair->ca_file, 1); /* where OpenSSL looks for them */
    tls_free(pair->tls);
    pair->settings.ca_file = "";
    assert_int_equal(tls_new(&pair->tls, &pair->settings, HOST, &err), 0);
    unsetenv("SSL_CERT_FILE");
    assert_int_equal(shake_hands(pair, &err), 1);
    drop_pair(pair);
}

static void test_an_address_is_verified_as_one(void **state)
{
    struct pair *pair = make_pair("IP:127.0.0.1", -DAY_S, DAY_S, TLS1_3_VERSION);
    struct error err;
    tls_free(pair->tls);
    assert_int_equal(tls_new(&pair->tls, &pair->settings, "127.0.0.1", &err), 0);
    assert_int_equal(shake_hands(pair, &err), TLS_READY);
    drop_pair(pair);
    assert_refused("IP:127.0.0.1", -DAY_S, DAY_S, "is for 127.0.0.1, not for " HOST);
}

static void test_new_keys_go_by_unseen(void **state)
{
    struct pair *pair = connected(TLS1_3_VERSION);
    assert_int_equal(SSL_key_update(pair->server, SSL_KEY_UPDATE_REQUESTED), 1);
    assert_both_speak(pair);
    assert_both_speak(pair);
    drop_pair(pair);
}

static void test_renegotiation_is_declined(void **state)
{
    struct pair *pair = connected(TLS1_2_VERSION);
    struct buffer heard = {0};
    struct error err;
    char byte;
    assert_int_equal(SSL_renegotiate(pair->server), 1);
    SSL_do_handshake(pair->server); /* sends the request */
    assert_int_equal(read_all(pair, &heard, &err), 0);
    assert_int_equal(tls_write(pair->tls, "PING", 4, &err), 0); /* it does not hinder us */
    carry_to_server(pair);
    ERR_clear_error();
    assert_int_equal(SSL_read(pair->server, &byte, 1), -1);
    assert_int_equal(ERR_GET_REASON(ERR_peek_last_error()), SSL_R_NO_RENEGOTIATION);
    ERR_clear_error();
    drop_pair(pair);
}

static void test_goodbyes_are_said_and_understood(void **state)
{
    struct pair *pair = connected(TLS1_3_VERSION);
    struct buffer heard = {0};
    struct error err;
    char byte;
    SSL_write(pair->server, "last", 4);
    SSL_shutdown(pair->server);
    assert_int_equal(read_all(pair, &heard, &err), ERR_DOWN);
    assert_int_equal(heard.length, 4);
    assert_contains(&err, "the server closed the connection");
    tls_say_goodbye(pair->tls);
    carry_to_server(pair);
    assert_int_equal(SSL_get_error(pair->server, SSL_read(pair->server, &byte, 1)),
                     SSL_ERROR_ZERO_RETURN);
    buffer_deinit(&heard);
    drop_pair(pair);
}

static void test_a_byte_changed_on_the_way_ends_it(void **state)
{
    struct pair *pair = connected(TLS1_3_VERSION);
    struct buffer heard = {0};
    struct error err;
    char bytes[256];
    SSL_write(pair->server, "PONG", 4);
    int count = BIO_read(pair->from_server, bytes, sizeof bytes);
    bytes[count - 1] ^= 1;
    tls_feed(pair->tls, bytes, (size_t)count);
    assert_int_equal(read_all(pair, &heard, &err), ERR_DOWN);
    assert_int_equal(heard.length, 0);
    drop_pair(pair);
}

static void test_a_server_without_tls_is_named(void **state)
{
    static const char *const answers[] = {"-ERR unknown command\r\n", "HTTP/1.1 400 Bad\r\n\r\n"};
    for (size_t i = 0; i < 2; i++) {
        struct pair *pair = make_pair("DNS:" HOST, -DAY_S, DAY_S, TLS1_3_VERSION);
        struct error err;
        assert_int_equal(tls_handshake(pair->tls, &err), 0);
        tls_feed(pair->tls, answers[i], strlen(answers[i]));
        assert_int_equal(tls_handshake(pair->tls, &err), ERR_DOWN);
        assert_contains(&err, "does not speak TLS");
        drop_pair(pair);
    }
}

static void test_files_that_are_no_good_are_named(void **state)
{
    struct error err;
    struct tls_settings settings = {.enabled = true, .ca_file = "/nowhere/ca.pem"};
    assert_int_equal(tls_check(&settings, &err), ERR_SETTINGS);
    assert_contains(&err, "redis.tls_ca_file: /nowhere/ca.pem: ");
    assert_contains(&err, "No such file");
    settings = (struct tls_settings){.enabled = true, .cert_file = __FILE__, .key_file = __FILE__};
    assert_int_equal(tls_check(&settings, &err), ERR_SETTINGS);
    assert_contains(&err, "redis.tls_cert_file: ");
    settings.enabled = false;
    assert_int_equal(tls_check(&settings, &err), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_stream_arrives_whole_whatever_the_pieces),
        cmocka_unit_test(test_old_versions_are_refused),
        cmocka_unit_test(test_certificates_that_do_not_hold_are_refused),
        cmocka_unit_test(test_another_authority_is_refused_and_named),
        cmocka_unit_test(test_without_a_file_the_systems_authorities_are_believed),
        cmocka_unit_test(test_an_address_is_verified_as_one),
        cmocka_unit_test(test_new_keys_go_by_unseen),
        cmocka_unit_test(test_renegotiation_is_declined),
        cmocka_unit_test(test_goodbyes_are_said_and_understood),
        cmocka_unit_test(test_a_byte_changed_on_the_way_ends_it),
        cmocka_unit_test(test_a_server_without_tls_is_named),
        cmocka_unit_test(test_files_that_are_no_good_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
