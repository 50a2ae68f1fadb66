"""SIP: PJSIP's user-agent layer, bound through cffi."""
