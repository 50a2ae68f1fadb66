"""``dialin demo``: three telephones that call a bridge of their own and measure what they hear.

``softphone`` is a telephone as a process (pjsua2), ``handset`` holds one in hand, ``hearing`` has
voices and ears, ``prompts`` knows the sound of the greeting, ``rehearsal`` is the play itself and
``view`` what is shown of it. The end-to-end tests use the same telephones and ears.
"""
