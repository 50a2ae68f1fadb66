"""C declarations of the part of PJSIP 2.15.1 that the bridge calls, for cffi's ABI mode.

Nothing is loaded here. Structs are declared only where a field must be read or written, and only as
far as the last field needed (``...`` is not possible in ABI mode, so such a struct must never be
allocated by us or copied by value). :mod:`bridge.sip.layout` checks each of them at start against
values that PJSIP itself put there. Opaque pointers are ``void *`` under a name.

``pj_bool_t``, ``pj_status_t`` and enumerations are ``int``; ``pj_ssize_t`` is ``long`` (LP64).
"""

from __future__ import annotations

__all__ = ["CDEF", "PJSIP_VERSION", "STRUCTS_CHECKED", "WHEEL_VERSION"]

PJSIP_VERSION = "2.15.1"
"""What ``pj_get_version()`` must say."""

WHEEL_VERSION = "2.15.1.post1"
"""The release of the distribution pjsua2-python that these layouts were measured in."""

STRUCTS_CHECKED = (
    "pjsip_rx_data",
    "pjsip_tx_data",
    "pjsip_msg",
    "pjsip_transaction",
    "pjsip_event",
    "pjsip_inv_session",
    "pjsip_dialog",
    "pjsip_transport",
    "pjsip_tpfactory",
    "pjsip_cfg_t",
)
"""Structs whose layout is proved at start; see :mod:`bridge.sip.layout`."""

_BASE = """
typedef int pj_status_t;
typedef int pj_bool_t;
typedef long pj_ssize_t;
typedef struct { char *ptr; pj_ssize_t slen; } pj_str_t;
typedef struct { long sec; long msec; } pj_time_val;
typedef struct {
    uint16_t sin_family; uint16_t sin_port; uint32_t sin_addr; char rest[20];
} pj_sockaddr;

typedef void pj_pool_t;
typedef void pj_ioqueue_t;
typedef void pj_ioqueue_key_t;
typedef void pj_dns_resolver;
typedef void pjsip_endpoint;
typedef void pjsip_tpmgr;
typedef void pjsip_tpfactory;
typedef void pjsip_regc;
typedef void pjmedia_sdp_neg;
typedef void pjmedia_sdp_session;

/* pj_ioqueue_op_key_t: 34 pointers in PJLIB 2.15.1 */
typedef struct { void *internal[34]; } pj_ioqueue_op_key_t;
typedef struct {
    void (*on_read_complete)(pj_ioqueue_key_t *, void *, pj_ssize_t);
    void (*on_write_complete)(pj_ioqueue_key_t *, void *, pj_ssize_t);
    void (*on_accept_complete)(pj_ioqueue_key_t *, void *, long, pj_status_t);
    void (*on_connect_complete)(pj_ioqueue_key_t *, pj_status_t);
} pj_ioqueue_callback;

const char *pj_get_version(void);
pj_status_t pj_init(void);
void pj_shutdown(void);
pj_str_t pj_strerror(pj_status_t, char *buf, size_t size);
void pj_log_set_level(int);
void pj_log_set_decor(unsigned);
void pj_log_set_log_func(void (*)(int level, const char *data, int len));
void pj_caching_pool_init(void *cp, const void *policy, size_t max_capacity);
void pj_caching_pool_destroy(void *cp);
void *pj_pool_alloc(pj_pool_t *, size_t);
void pj_pool_reset(pj_pool_t *);
pj_status_t pj_atomic_create(pj_pool_t *, long initial, void **);
pj_status_t pj_atomic_destroy(void *);
pj_status_t pj_lock_create_recursive_mutex(pj_pool_t *, const char *, void **);
pj_status_t pj_lock_destroy(void *);
void pj_list_insert_before(void *pos, void *node);
void pj_srand(unsigned seed);
void OpenSSL_add_all_digests(void); /* of the OpenSSL 1.0.2 that the wheel brings along */
pj_status_t pjlib_util_init(void);
pj_status_t pj_ioqueue_register_sock(pj_pool_t *, pj_ioqueue_t *, long sock, void *user,
                                     const pj_ioqueue_callback *, pj_ioqueue_key_t **);
pj_status_t pj_ioqueue_unregister(pj_ioqueue_key_t *);
pj_status_t pj_ioqueue_recv(pj_ioqueue_key_t *, void *op_key, void *buffer, pj_ssize_t *length,
                            uint32_t flags);
pj_status_t pj_dns_resolver_set_ns(pj_dns_resolver *, unsigned, const pj_str_t[],
                                   const uint16_t[]);
"""

_MESSAGE = """
/* sip_msg.h */
typedef struct { int id; pj_str_t name; } pjsip_method;
typedef struct pjsip_hdr {
    struct pjsip_hdr *prev; struct pjsip_hdr *next;
    int type; pj_str_t name; pj_str_t sname; void *vptr;
} pjsip_hdr;
typedef struct {
    pj_str_t type; pj_str_t subtype;
    void *param_prev; void *param_next; pj_str_t param_name; pj_str_t param_value;
    void *data; unsigned len;
} pjsip_msg_body;
typedef struct {
    int type;
    union {
        struct { pjsip_method method; void *uri; } req;
        struct { int code; pj_str_t reason; } status;
    } line;
    pjsip_hdr hdr;
    pjsip_msg_body *body;
} pjsip_msg;

pjsip_hdr *pjsip_generic_string_hdr_create(pj_pool_t *, const pj_str_t *, const pj_str_t *);
pjsip_msg_body *pjsip_msg_body_create(pj_pool_t *, const pj_str_t *type, const pj_str_t *subtype,
                                      const pj_str_t *text);
void *pjsip_parse_hdr(pj_pool_t *, const pj_str_t *hname, char *line, size_t size, int *parsed);
const pjsip_method *pjsip_get_options_method(void);
const pjsip_method *pjsip_get_bye_method(void);

/* sip_transport.h */
typedef struct { pj_str_t host; int port; } pjsip_host_port;
typedef struct {
    char obj_name[32];
    pj_pool_t *pool; void *ref_cnt; void *lock; void *grp_lock;
    pj_bool_t tracing; pj_bool_t is_shutdown; pj_bool_t is_destroying;
    struct { long type; pj_sockaddr rem_addr; } key;
    char *type_name; unsigned flag; char *info; int addr_len;
    pj_sockaddr local_addr;
    pjsip_host_port local_name; pjsip_host_port remote_name; int dir;
    pjsip_endpoint *endpt; pjsip_tpmgr *tpmgr; void *factory;
    struct { void *user_data; int id; void *cb; int _timer_id; } idle_timer;
    uint64_t last_recv_ts; size_t last_recv_len; void *data; unsigned initial_timeout;
    void *send_msg; void *do_shutdown; void *destroy;
} pjsip_transport;
typedef struct {
    void *prev; void *next; char obj_name[32]; pj_pool_t *pool; void *lock; int type;
    char *type_name; unsigned flag; char *info; pj_sockaddr local_addr; pjsip_host_port addr_name;
    void *create_transport; void *create_transport2; void *destroy;
} pjsip_tpfactory_struct;
typedef struct {
    struct {
        pj_pool_t *pool; pjsip_transport *transport; void *tp_data;
        pj_ioqueue_op_key_t op_key; void *op_rdata;
    } tp_info;
    struct {
        pj_time_val timestamp; char packet[4000]; uint32_t zero; pj_ssize_t len;
        pj_sockaddr src_addr; int src_addr_len; char src_name[46]; int src_port;
    } pkt_info;
    struct {
        char *msg_buf; int len; pjsip_msg *msg; char *info;
        void *cid; void *from; void *to; void *via; void *cseq; void *max_fwd; void *route;
        void *record_route; void *ctype; void *clen; void *require; void *supported;
    } msg_info;
} pjsip_rx_data;
typedef struct pjsip_tx_data {
    void *prev; void *next; pj_pool_t *pool; char obj_name[32]; char *info;
    pj_time_val rx_timestamp; void *mgr;
    pj_ioqueue_op_key_t op_key; void *op_tdata; void *op_token; void *op_callback;
    void *lock; pjsip_msg *msg; void *saved_strict_route;
    struct { char *start; char *cur; char *end; } buf;
} pjsip_tx_data;
typedef struct { pj_status_t status; void *ext_info; void *user_data; } pjsip_transport_state_info;
typedef struct {
    pjsip_transport *tp; void *data; size_t len; pj_status_t status;
} pjsip_tp_dropped_data;
typedef struct { int type; pj_bool_t disable_reuse; void *transport; } pjsip_tpselector;

pj_status_t pjsip_tx_data_dec_ref(pjsip_tx_data *);
void (*pjsip_tpmgr_get_state_cb(pjsip_tpmgr *))
    (pjsip_transport *, int state, const pjsip_transport_state_info *);
pj_ssize_t pjsip_tpmgr_receive_packet(pjsip_tpmgr *, pjsip_rx_data *);
pj_status_t pjsip_tpmgr_register_tpfactory(pjsip_tpmgr *, void *);
pj_status_t pjsip_tpmgr_find_local_addr(pjsip_tpmgr *, pj_pool_t *, int type, const void *selector,
                                        pj_str_t *address, int *port);
pj_status_t pjsip_transport_register(pjsip_tpmgr *, pjsip_transport *);
pj_status_t pjsip_transport_shutdown(pjsip_transport *);
pj_status_t pjsip_transport_add_ref(pjsip_transport *);
pj_status_t pjsip_transport_dec_ref(pjsip_transport *);
pj_status_t pjsip_tpmgr_set_drop_data_cb(pjsip_tpmgr *, void (*)(pjsip_tp_dropped_data *));
pj_status_t pjsip_udp_transport_attach(pjsip_endpoint *, long sock, const pjsip_host_port *,
                                       unsigned async_cnt, pjsip_transport **);
"""

_ENDPOINT = """
/* sip_endpoint.h, sip_module.h, sip_config.h */
typedef struct pjsip_event {
    void *prev; void *next; int type;
    union {
        struct { void *src; struct pjsip_transaction *tsx; int prev_state; int type; } tsx_state;
        struct { pjsip_rx_data *rdata; } rx_msg;
    } body;
} pjsip_event;
typedef struct pjsip_transaction {
    pj_pool_t *pool; void *tsx_user; pjsip_endpoint *endpt; pj_bool_t terminating;
    void *grp_lock; void *mutex_b; char obj_name[32]; int role; pjsip_method method; int32_t cseq;
    pj_str_t transaction_key; pj_str_t transaction_key2; uint32_t hashed_key; uint32_t hashed_key2;
    pj_str_t branch; int status_code; pj_str_t status_text; int state;
} pjsip_transaction;
typedef struct pjsip_module {
    struct pjsip_module *prev; struct pjsip_module *next; pj_str_t name; int id; int priority;
    pj_status_t (*load)(pjsip_endpoint *);
    pj_status_t (*start)(void);
    pj_status_t (*stop)(void);
    pj_status_t (*unload)(void);
    pj_bool_t (*on_rx_request)(pjsip_rx_data *);
    pj_bool_t (*on_rx_response)(pjsip_rx_data *);
    pj_status_t (*on_tx_request)(pjsip_tx_data *);
    pj_status_t (*on_tx_response)(pjsip_tx_data *);
    void (*on_tsx_state)(pjsip_transaction *, pjsip_event *);
} pjsip_module;
typedef struct {
    struct {
        pj_bool_t allow_port_in_fromto_hdr; pj_bool_t accept_replace_in_early_state;
        pj_bool_t allow_tx_hash_in_uri; pj_bool_t disable_rport; pj_bool_t disable_tcp_switch;
        pj_bool_t disable_tls_switch; pj_bool_t follow_early_media_fork;
        pj_bool_t req_has_via_alias; pj_bool_t resolve_hostname_to_get_interface;
        pj_bool_t disable_secure_dlg_check; pj_bool_t use_compact_form;
        pj_bool_t accept_multiple_sdp_answers; pj_bool_t keep_inv_after_tsx_timeout;
    } endpt;
    struct { unsigned max_count; unsigned t1; unsigned t2; unsigned t4; unsigned td; } tsx;
} pjsip_cfg_t;

extern pjsip_cfg_t pjsip_sip_cfg_var;
pj_status_t pjsip_endpt_create(void *factory, const char *name, pjsip_endpoint **);
void pjsip_endpt_destroy(pjsip_endpoint *);
pj_pool_t *pjsip_endpt_create_pool(pjsip_endpoint *, const char *name, size_t initial, size_t inc);
void pjsip_endpt_release_pool(pjsip_endpoint *, pj_pool_t *);
pj_ioqueue_t *pjsip_endpt_get_ioqueue(pjsip_endpoint *);
pjsip_tpmgr *pjsip_endpt_get_tpmgr(pjsip_endpoint *);
pj_status_t pjsip_endpt_handle_events(pjsip_endpoint *, const pj_time_val *);
pj_status_t pjsip_endpt_register_module(pjsip_endpoint *, pjsip_module *);
pj_status_t pjsip_endpt_add_capability(pjsip_endpoint *, pjsip_module *, int htype,
                                       const pj_str_t *hname, unsigned count, const pj_str_t[]);
const pjsip_hdr *pjsip_endpt_get_capability(pjsip_endpoint *, int htype, const pj_str_t *hname);
void *pjsip_hdr_clone(pj_pool_t *, const void *hdr);
pj_status_t pjsip_endpt_create_resolver(pjsip_endpoint *, pj_dns_resolver **);
pj_status_t pjsip_endpt_set_resolver(pjsip_endpoint *, pj_dns_resolver *);
pj_status_t pjsip_endpt_create_request(pjsip_endpoint *, const pjsip_method *,
    const pj_str_t *target, const pj_str_t *from, const pj_str_t *to, const pj_str_t *contact,
    const pj_str_t *call_id, int cseq, const pj_str_t *text, pjsip_tx_data **);
pj_status_t pjsip_endpt_send_request(pjsip_endpoint *, pjsip_tx_data *, int32_t timeout,
                                     void *token, void (*)(void *, pjsip_event *));
pj_status_t pjsip_endpt_respond_stateless(pjsip_endpoint *, pjsip_rx_data *, int code,
    const pj_str_t *text, const pjsip_hdr *headers, const void *body);
pj_status_t pjsip_endpt_create_response(pjsip_endpoint *, const pjsip_rx_data *, int code,
                                        const pj_str_t *text, pjsip_tx_data **);
pj_status_t pjsip_endpt_send_response2(pjsip_endpoint *, pjsip_rx_data *, pjsip_tx_data *,
                                       void *token, void *cb);
pj_status_t pjsip_tsx_layer_init_module(pjsip_endpoint *);
unsigned pjsip_tsx_layer_get_tsx_count(void);
void pjsip_tsx_set_timers(unsigned t1, unsigned t2, unsigned t4, unsigned td);
"""

_DIALOG = """
/* sip_auth.h, before the dialog that holds one */
typedef struct {
    pj_str_t realm; pj_str_t scheme; pj_str_t username; int data_type; pj_str_t data;
    int algorithm_type; pj_str_t aka_k; pj_str_t aka_op; pj_str_t aka_amf; void *aka_cb;
    void *reserve[8];
} pjsip_cred_info;
typedef struct {
    pj_pool_t *pool; pjsip_endpoint *endpt; pj_bool_t initial_auth; pj_str_t algorithm;
    unsigned cred_cnt; pjsip_cred_info *cred_info; void *cached_prev; void *cached_next;
} pjsip_auth_clt_sess;
typedef struct { pjsip_hdr head; pj_str_t id; } pjsip_cid_hdr;
typedef struct {
    void *info; pj_str_t info_str; uint32_t tag_hval; void *contact; int32_t first_cseq;
    int32_t cseq;
} pjsip_dlg_party;
typedef struct pjsip_dialog {
    void *prev; void *next; char obj_name[32]; pj_pool_t *pool; void *ua; pjsip_endpoint *endpt;
    void *grp_lock; void *dlg_set; int state; void *target;
    struct {
        void *prev; void *next; void *uri; int q1000; int code; pj_str_t reason; void *current;
    } target_set;
    pjsip_hdr inv_hdr; pjsip_dlg_party local; pjsip_dlg_party remote; pjsip_hdr rem_cap_hdr;
    int role; pj_bool_t uac_has_2xx; pj_bool_t secure; pj_bool_t add_allow; pj_bool_t ack_sent;
    pjsip_cid_hdr *call_id;
    struct {
        pjsip_hdr head; void *name_vptr; pj_str_t display; void *uri;
        void *param_prev; void *param_next; pj_str_t param_name; pj_str_t param_value;
    } route_set;
    pj_bool_t route_set_frozen; pjsip_auth_clt_sess auth_sess;
} pjsip_dialog;

pj_status_t pjsip_auth_clt_set_credentials(pjsip_auth_clt_sess *, int count,
                                           const pjsip_cred_info *);
/* sip_ua_layer.h, sip_dialog.h */
pj_status_t pjsip_ua_init_module(pjsip_endpoint *, const void *);
void *pjsip_ua_instance(void);
unsigned pjsip_ua_get_dlg_set_count(void);
pj_status_t pjsip_dlg_create_uas_and_inc_lock(void *ua, pjsip_rx_data *, const pj_str_t *contact,
                                              pjsip_dialog **);
pj_status_t pjsip_dlg_create_uac(void *ua, const pj_str_t *local, const pj_str_t *contact,
    const pj_str_t *remote, const pj_str_t *target, pjsip_dialog **);
void pjsip_dlg_dec_lock(pjsip_dialog *);
pj_status_t pjsip_dlg_terminate(pjsip_dialog *);
pj_status_t pjsip_dlg_set_route_set(pjsip_dialog *, const void *);
pj_status_t pjsip_dlg_set_transport(pjsip_dialog *, const pjsip_tpselector *);
pj_status_t pjsip_dlg_create_request(pjsip_dialog *, const pjsip_method *, int cseq,
                                     pjsip_tx_data **);
pj_status_t pjsip_dlg_send_request(pjsip_dialog *, pjsip_tx_data *, int mod_id, void *mod_data);
pj_status_t pjsip_dlg_respond(pjsip_dialog *, pjsip_rx_data *, int code, const pj_str_t *text,
                              const pjsip_hdr *headers, const void *body);
pjsip_dialog *pjsip_rdata_get_dlg(pjsip_rx_data *);
pjsip_dialog *pjsip_tsx_get_dlg(const pjsip_transaction *);
"""

_INVITE = """
/* sip_inv.h, sip_timer.h, sip_100rel.h */
typedef struct {
    char obj_name[32]; pj_pool_t *pool; pj_pool_t *pool_prov; pj_pool_t *pool_active;
    int state; pj_bool_t cancelling; pj_bool_t pending_cancel; pjsip_tx_data *pending_bye;
    int cause; pj_str_t cause_text; pj_bool_t notify; pj_bool_t sdp_done_early_rel;
    unsigned cb_called; pjsip_dialog *dlg; int role; unsigned options; pjmedia_sdp_neg *neg;
    unsigned sdp_neg_flags; pjsip_transaction *invite_tsx; pjsip_tx_data *invite_req;
    pjsip_tx_data *last_answer;
} pjsip_inv_session;
typedef struct {
    void (*on_state_changed)(pjsip_inv_session *, pjsip_event *);
    void (*on_new_session)(pjsip_inv_session *, pjsip_event *);
    void (*on_tsx_state_changed)(pjsip_inv_session *, pjsip_transaction *, pjsip_event *);
    void (*on_rx_offer)(pjsip_inv_session *, const pjmedia_sdp_session *);
    void *on_rx_offer2;
    void *on_rx_reinvite;
    void (*on_create_offer)(pjsip_inv_session *, pjmedia_sdp_session **);
    void (*on_media_update)(pjsip_inv_session *, pj_status_t);
    void *on_send_ack;
    void *on_redirected;
} pjsip_inv_callback;
typedef struct { unsigned min_se; unsigned sess_expires; } pjsip_timer_setting;

pj_status_t pjsip_100rel_init_module(pjsip_endpoint *);
pj_status_t pjsip_timer_init_module(pjsip_endpoint *);
pj_status_t pjsip_timer_init_session(pjsip_inv_session *, const pjsip_timer_setting *);
pj_status_t pjsip_inv_usage_init(pjsip_endpoint *, const pjsip_inv_callback *);
pj_status_t pjsip_inv_verify_request(pjsip_rx_data *, unsigned *options,
    const pjmedia_sdp_session *, pjsip_dialog *, pjsip_endpoint *, pjsip_tx_data **);
pj_status_t pjsip_inv_create_uas(pjsip_dialog *, pjsip_rx_data *, const pjmedia_sdp_session *,
                                 unsigned options, pjsip_inv_session **);
pj_status_t pjsip_inv_create_uac(pjsip_dialog *, const pjmedia_sdp_session *, unsigned options,
                                 pjsip_inv_session **);
pj_status_t pjsip_inv_initial_answer(pjsip_inv_session *, pjsip_rx_data *, int code,
    const pj_str_t *text, const pjmedia_sdp_session *, pjsip_tx_data **);
pj_status_t pjsip_inv_answer(pjsip_inv_session *, int code, const pj_str_t *text,
                             const pjmedia_sdp_session *, pjsip_tx_data **);
pj_status_t pjsip_inv_invite(pjsip_inv_session *, pjsip_tx_data **);
pj_status_t pjsip_inv_reinvite(pjsip_inv_session *, const pj_str_t *contact,
                               const pjmedia_sdp_session *, pjsip_tx_data **);
pj_status_t pjsip_inv_cancel_reinvite(pjsip_inv_session *, pjsip_tx_data **);
pj_status_t pjsip_inv_set_sdp_answer(pjsip_inv_session *, const pjmedia_sdp_session *);
pj_status_t pjsip_inv_end_session(pjsip_inv_session *, int code, const pj_str_t *text,
                                  pjsip_tx_data **);
pj_status_t pjsip_inv_send_msg(pjsip_inv_session *, pjsip_tx_data *);
pj_status_t pjsip_inv_terminate(pjsip_inv_session *, int code, pj_bool_t notify);
pj_status_t pjsip_inv_add_ref(pjsip_inv_session *);
pj_status_t pjsip_inv_dec_ref(pjsip_inv_session *);

/* pjmedia/sdp.h, sdp_neg.h */
pj_status_t pjmedia_sdp_parse(pj_pool_t *, char *, size_t, pjmedia_sdp_session **);
int pjmedia_sdp_print(const pjmedia_sdp_session *, char *, size_t);
pj_status_t pjmedia_sdp_validate(const pjmedia_sdp_session *);
int pjmedia_sdp_neg_get_state(pjmedia_sdp_neg *);
pj_status_t pjmedia_sdp_neg_get_active_local(pjmedia_sdp_neg *, const pjmedia_sdp_session **);
pj_status_t pjmedia_sdp_neg_get_active_remote(pjmedia_sdp_neg *, const pjmedia_sdp_session **);
pj_status_t pjmedia_sdp_neg_get_neg_local(pjmedia_sdp_neg *, const pjmedia_sdp_session **);
pj_status_t pjmedia_sdp_neg_cancel_offer(pjmedia_sdp_neg *);
pj_status_t pjmedia_sdp_neg_set_answer_multiple_codecs(pjmedia_sdp_neg *, pj_bool_t);
"""

_REGISTRATION = """
/* sip_regc.h */
typedef struct {
    pjsip_regc *regc; void *token; pj_status_t status; int code; pj_str_t reason;
    pjsip_rx_data *rdata; unsigned expiration;
} pjsip_regc_cbparam;
pj_status_t pjsip_regc_create(pjsip_endpoint *, void *token, void (*)(pjsip_regc_cbparam *),
                              pjsip_regc **);
pj_status_t pjsip_regc_init(pjsip_regc *, const pj_str_t *server, const pj_str_t *from,
    const pj_str_t *to, int contact_count, const pj_str_t[], uint32_t expires);
pj_status_t pjsip_regc_set_credentials(pjsip_regc *, int count, const pjsip_cred_info[]);
pj_status_t pjsip_regc_register(pjsip_regc *, pj_bool_t autoreg, pjsip_tx_data **);
pj_status_t pjsip_regc_unregister(pjsip_regc *, pjsip_tx_data **);
pj_status_t pjsip_regc_send(pjsip_regc *, pjsip_tx_data *);
pj_status_t pjsip_regc_destroy(pjsip_regc *);
"""

CDEF = _BASE + _MESSAGE + _ENDPOINT + _DIALOG + _INVITE + _REGISTRATION
