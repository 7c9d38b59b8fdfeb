#include "publisher/tls.h"

#include "base/mem.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#define READ_BYTES 16384 /* the most that one record of TLS holds */
#define NAME_BYTES 128

struct tls {
    SSL *ssl;
    BIO *from_server, *to_server; /* `ssl` owns them */
    char *name;                   /* owned: whose certificate is wanted */
    char *ca_file;                /* owned */
    X509 *doubted;                /* owned: a certificate that was not believed, if any */
    char bytes[READ_BYTES];
};

static bool is_given(const char *text)
{
    return text != NULL && text[0] != '\0';
}

/* ---- the files ---- */

/* An encrypted key would have OpenSSL ask for a password at the terminal. */
static int no_password(char *buffer, int size, int writing, void *arg)
{
    return -1;
}

static int bad_file(struct error *err, const char *key, const char *file, const char *what)
{
    unsigned long code = ERR_peek_error(); /* the first is the most exact */
    const char *reason = ERR_reason_error_string(code);
    /* Codes of the system have no text of OpenSSL's own. */
    if (ERR_SYSTEM_ERROR(code))
        reason = strerror(ERR_GET_REASON(code));
    int rc = error_set(err, ERR_SETTINGS, "redis.tls_%s: %s: %s (%s)", key, file, what,
                       reason != NULL ? reason : "unknown");
    ERR_clear_error();
    return rc;
}

static int load_authority(SSL_CTX *context, const struct tls_settings *settings, struct error *err)
{
    if (!is_given(settings->ca_file)) {
        SSL_CTX_set_default_verify_paths(context);
        return 0;
    }
    if (SSL_CTX_load_verify_locations(context, settings->ca_file, NULL) != 1)
        return bad_file(err, "ca_file", settings->ca_file, "no certificates in PEM can be read");
    return 0;
}

static int load_own(SSL_CTX *context, const struct tls_settings *settings, struct error *err)
{
    if (!is_given(settings->cert_file))
        return 0;
    if (SSL_CTX_use_certificate_chain_file(context, settings->cert_file) != 1)
        return bad_file(err, "cert_file", settings->cert_file, "no certificate in PEM can be read");
    if (SSL_CTX_use_PrivateKey_file(context, settings->key_file, SSL_FILETYPE_PEM) != 1)
        return bad_file(err, "key_file", settings->key_file,
                        "no private key in PEM, without a password, that fits the certificate");
    return 0;
}

static int make_context(SSL_CTX **made, const struct tls_settings *settings, struct error *err)
{
    ERR_clear_error();
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (context == NULL)
        abort(); /* it has no other way to fail than memory */
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_default_passwd_cb(context, no_password);
    int rc = load_authority(context, settings, err);
    if (rc == 0)
        rc = load_own(context, settings, err);
    if (rc != 0) {
        SSL_CTX_free(context);
        return rc;
    }
    *made = context;
    return 0;
}

int tls_check(const struct tls_settings *settings, struct error *err)
{
    SSL_CTX *context;
    int rc = settings->enabled ? make_context(&context, settings, err) : 0;
    if (settings->enabled && rc == 0)
        SSL_CTX_free(context);
    return rc;
}

/* ---- what went wrong, for people ---- */

static const char its_certificate[] = "TLS: the server's certificate";

static void add_name(struct buffer *out, const GENERAL_NAME *name)
{
    int type;
    const ASN1_STRING *value = GENERAL_NAME_get0_value(name, &type);
    const unsigned char *data = NULL;
    int length = 0;
    if (type == GEN_DNS || type == GEN_IPADD) {
        data = ASN1_STRING_get0_data(value);
        length = ASN1_STRING_length(value);
    }
    const char *between = out->length > 0 ? ", " : "";
    if (type == GEN_DNS && length < NAME_BYTES)
        buffer_printf(out, "%s%.*s", between, length, (const char *)data);
    else if (type == GEN_IPADD && length == 4)
        buffer_printf(out, "%s%u.%u.%u.%u", between, data[0], data[1], data[2], data[3]);
    else if (type == GEN_IPADD)
        buffer_printf(out, "%san IPv6 address", between);
}

/* Whom a certificate is for: its alternative names, else its subject's. */
static void write_names(struct buffer *out, const X509 *certificate)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; i < sk_GENERAL_NAME_num(names) && out->length < NAME_BYTES; i++)
        add_name(out, sk_GENERAL_NAME_value(names, i));
    GENERAL_NAMES_free(names);
    char subject[NAME_BYTES] = "nobody";
    if (out->length == 0) {
        X509_NAME_oneline(X509_get_subject_name(certificate), subject, sizeof subject);
        buffer_text(out, subject);
    }
    buffer_add(out, "", 1);
}

static void write_time(struct buffer *out, const ASN1_TIME *time)
{
    struct tm tm;
    char text[32] = "unknown";
    if (ASN1_TIME_to_tm(time, &tm) == 1)
        strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &tm);
    buffer_add(out, text, strlen(text) + 1);
}

static int distrust_time(const X509 *certificate, bool expired, struct error *err)
{
    struct buffer time = {0};
    write_time(&time, expired ? X509_get0_notAfter(certificate) : X509_get0_notBefore(certificate));
    int rc =
        error_set(err, ERR_DOWN, "%s %s %s: renew it there, or set this machine's clock",
                  its_certificate, expired ? "has expired, on" : "is not valid before", time.data);
    buffer_deinit(&time);
    return rc;
}

static int distrust_name(const struct tls *tls, struct error *err)
{
    struct buffer names = {0};
    write_names(&names, tls->doubted);
    int rc = error_set(err, ERR_DOWN,
                       "%s is for %s, not for %s: if that is the right server, set "
                       "redis.tls_server_name to a name it is for",
                       its_certificate, names.data, tls->name);
    buffer_deinit(&names);
    return rc;
}

static int distrust(const struct tls *tls, int result, struct error *err)
{
    switch (result) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        return distrust_time(tls->doubted, true, err);
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return distrust_time(tls->doubted, false, err);
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        return distrust_name(tls, err);
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
        return error_set(err, ERR_DOWN,
                         "%s is signed by an authority that is not in %s: set redis.tls_ca_file "
                         "to that authority's certificate",
                         its_certificate,
                         tls->ca_file[0] != '\0' ? tls->ca_file : "this system's list");
    default:
        return error_set(err, ERR_DOWN, "%s: %s", its_certificate,
                         X509_verify_cert_error_string(result));
    }
}

/* Remembers the first certificate that was found wanting, which OpenSSL does not keep. */
static int look_at(int good, X509_STORE_CTX *store)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls *tls = SSL_get_app_data(ssl);
    X509 *certificate = X509_STORE_CTX_get_current_cert(store);
    if (!good && tls->doubted == NULL && X509_up_ref(certificate) == 1)
        tls->doubted = certificate;
    return good;
}

/* What the server, or OpenSSL, has against the connection. */
static const char *complaint(int reason)
{
    switch (reason) {
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_HTTP_REQUEST:
    case SSL_R_BAD_RECORD_TYPE:
        return "the server does not speak TLS at this port: give the port of its tls-port, or set "
               "redis.tls: false";
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
        return "the server speaks no TLS 1.2 or newer: see its tls-protocols";
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
        return "the server wants a certificate of ours: set redis.tls_cert_file and key_file, or "
               "its tls-auth-clients to no";
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
    case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
    case SSL_R_TLSV1_ALERT_DECRYPT_ERROR:
        return "the server does not accept the certificate in redis.tls_cert_file";
    case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE:
        return "the server and we agree on nothing (its tls-ciphers, or it wants a certificate of "
               "ours: redis.tls_cert_file)";
    default:
        return ERR_reason_error_string(ERR_peek_last_error());
    }
}

static int fail(struct tls *tls, int status, struct error *err)
{
    int kind = SSL_get_error(tls->ssl, status);
    if (kind == SSL_ERROR_ZERO_RETURN)
        return error_set(err, ERR_DOWN, "the server closed the connection");
    if (tls->doubted != NULL)
        return distrust(tls, (int)SSL_get_verify_result(tls->ssl), err);
    const char *what = complaint(ERR_GET_REASON(ERR_peek_last_error()));
    int rc = error_set(err, ERR_DOWN, "TLS: %s", what != NULL ? what : "broken");
    ERR_clear_error();
    return rc;
}

/* More from the server is all that is missing. */
static bool is_waiting(const struct tls *tls, int status)
{
    return SSL_get_error(tls->ssl, status) == SSL_ERROR_WANT_READ;
}

/* ---- the connection ---- */

static bool is_ip_address(const char *text)
{
    ASN1_OCTET_STRING *address = a2i_IPADDRESS(text);
    ASN1_OCTET_STRING_free(address);
    return address != NULL;
}

static int want_name(struct tls *tls, struct error *err)
{
    if (tls->name[0] == '\0')
        return error_set(err, ERR_SETTINGS,
                         "redis.tls_server_name: is needed where redis.address has no host");
    bool good;
    if (is_ip_address(tls->name)) {
        good = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(tls->ssl), tls->name) == 1;
    } else {
        SSL_set_hostflags(tls->ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
        good = SSL_set1_host(tls->ssl, tls->name) == 1 &&
               SSL_set_tlsext_host_name(tls->ssl, tls->name) == 1;
    }
    return good ? 0 : error_set(err, ERR_SETTINGS, "\"%s\" is no server's name", tls->name);
}

int tls_new(struct tls **made, const struct tls_settings *settings, const char *host,
            struct error *err)
{
    SSL_CTX *context;
    int rc = make_context(&context, settings, err);
    if (rc != 0)
        return rc;
    struct tls *tls = mem_zalloc(sizeof *tls);
    tls->name = mem_strdup(is_given(settings->server_name) ? settings->server_name : host);
    tls->ca_file = mem_strdup(settings->ca_file != NULL ? settings->ca_file : "");
    tls->ssl = SSL_new(context);
    tls->from_server = BIO_new(BIO_s_mem());
    tls->to_server = BIO_new(BIO_s_mem());
    SSL_CTX_free(context); /* `ssl` keeps it */
    if (tls->ssl == NULL || tls->from_server == NULL || tls->to_server == NULL)
        abort();
    SSL_set_bio(tls->ssl, tls->from_server, tls->to_server);
    SSL_set_connect_state(tls->ssl);
    SSL_set_app_data(tls->ssl, tls);
    SSL_set_verify(tls->ssl, SSL_VERIFY_PEER, look_at);
    rc = want_name(tls, err);
    if (rc != 0) {
        tls_free(tls);
        return rc;
    }
    *made = tls;
    return 0;
}

void tls_free(struct tls *tls)
{
    if (tls == NULL)
        return;
    SSL_free(tls->ssl);
    X509_free(tls->doubted);
    free(tls->name);
    free(tls->ca_file);
    OPENSSL_cleanse(tls->bytes, sizeof tls->bytes);
    free(tls);
}

void tls_feed(struct tls *tls, const char *data, size_t bytes)
{
    if (BIO_write(tls->from_server, data, (int)bytes) != (int)bytes)
        abort(); /* memory */
}

int tls_handshake(struct tls *tls, struct error *err)
{
    ERR_clear_error();
    int status = SSL_do_handshake(tls->ssl);
    if (status == 1)
        return TLS_READY;
    return is_waiting(tls, status) ? 0 : fail(tls, status, err);
}

int tls_read(struct tls *tls, struct slice *data, struct error *err)
{
    ERR_clear_error();
    int status = SSL_read(tls->ssl, tls->bytes, sizeof tls->bytes);
    if (status > 0) {
        *data = (struct slice){tls->bytes, (uint32_t)status};
        return 1;
    }
    return is_waiting(tls, status) ? 0 : fail(tls, status, err);
}

int tls_write(struct tls *tls, const char *data, size_t bytes, struct error *err)
{
    ERR_clear_error();
    size_t written;
    if (bytes == 0)
        return 0;
    int status = SSL_write_ex(tls->ssl, data, bytes, &written); /* all, into memory */
    return status == 1 ? 0 : fail(tls, status, err);
}

void tls_say_goodbye(struct tls *tls)
{
    if (SSL_is_init_finished(tls->ssl))
        SSL_shutdown(tls->ssl);
    ERR_clear_error();
}

void tls_take_output(struct tls *tls, struct buffer *out)
{
    char *data;
    long bytes = BIO_get_mem_data(tls->to_server, &data);
    if (bytes > 0)
        buffer_add(out, data, (size_t)bytes);
    (void)BIO_reset(tls->to_server);
}
