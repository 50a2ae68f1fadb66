"""Settings, database, migrations, logging and the door that administrators come through.

Importing the package puts the log's privacy filter in place, so that no way of starting anything
can forget it.
"""

from config.logging import install as _install_log_filter

_install_log_filter()
