"""The keys that a process holds, by its settings: the one maker of keyrings.

Called wherever a process begins that signs: by `connect` and by the worker.
"""

from __future__ import annotations

from simpledist import config as configuration
from simpledist.config import Config
from simpledist.errors import ConfigurationError
from simpledist.wire import key_file, user_key
from simpledist.wire.keyring import Keyring


def keyring_of(config: Config) -> Keyring:
    """Return the keys of a process: those of the file that is named, else, on this machine, that of the user.

    Without a name and a machine to trust, pickles are not decoded. Raises ConfigurationError where a key cannot be
    read, or none can be made.
    """
    if configuration.nested():  # it sends nothing, and what runs user code holds no key
        return Keyring()
    if config.secret_file:
        return key_file.keyring_from(config.secret_file, config.namespace)
    if config.insecure or config.url == configuration.MEMORY_URL:
        return Keyring()
    if not config.stays_here:
        return Keyring(pickles=False)
    return key_file.keyring_from(str(user_key.find_or_make(config.url)), config.namespace)


def check_codec(codec: str, keyring: Keyring) -> None:
    """Raise ConfigurationError where calls would travel as pickles, and this process decodes none."""
    if codec == "pickle" and not keyring.pickles:
        raise ConfigurationError(
            "Redis is on another machine and no key is set, so this client decodes no pickles: give its functions "
            "codec='json' (executors and joblib need pickles), or make a key with `simpledist secret FILE` and give "
            "every process --secret-file FILE (secret_file=FILE)"
        )
