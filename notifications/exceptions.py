"""
The errors of the package, one family: catch ``NotificationsError`` for all of them.

    NotificationsError
    ├── InvalidMessage
    │   └── MessageTooLarge
    ├── InvalidChannel
    └── RedisUnavailable
        └── PublishFailed
"""


class NotificationsError(Exception):
    """Something in notifications went wrong."""


class InvalidMessage(NotificationsError, ValueError):
    """A message can't be sent as it is: its type, key or data don't fit the wire."""


class MessageTooLarge(InvalidMessage):
    """A message's data is over ``NOTIFICATIONS_MESSAGE_MAX_BYTES``."""


class InvalidChannel(NotificationsError, ValueError):
    """A channel's name has characters that a key in Redis or a cursor can't hold."""


class RedisUnavailable(NotificationsError):
    """Redis did not answer, or refused, within the time allowed."""


class PublishFailed(RedisUnavailable):
    """
    A message was not confirmed by Redis.

    Where the answer was lost on its way the message may have been published all the same; it is
    never tried again by itself, so it is never published twice.
    """
