"""Everything avcall raises on purpose. The message names the flag or file at fault and the cure.

AvcallError                 exit 1
|- ConfigError              exit 2   a flag or its value
|- InputError               exit 3   a file, clip or folder that is missing or unusable
|- DeviceError              exit 4   camera, microphone, speaker, display or GPU
|- OutputError              exit 5   something that cannot be written
|- CheckpointError          exit 6   weights: wrong hash, shape, format
|- SignalingError           exit 7   signaling server: unreachable, refused, gone
|  |- RoomError             exit 8   unknown, full or badly named room
|- CallError                exit 9   the peer connection: failed, lost
|  |- ModelMismatchError    exit 10  the two ends speak different versions or models
|- ProtocolError                     bytes from the peer that make no sense: counted and dropped, never fatal
|- NoFaceError              exit 11  no face to send, or none arrived
"""


class AvcallError(Exception):
    """Root of the tree; str() of it is one line for the user."""

    exit_code = 1


class ConfigError(AvcallError):
    exit_code = 2


class InputError(AvcallError):
    exit_code = 3


class DeviceError(AvcallError):
    exit_code = 4


class OutputError(AvcallError):
    exit_code = 5


class CheckpointError(AvcallError):
    exit_code = 6


class SignalingError(AvcallError):
    exit_code = 7


class RoomError(SignalingError):
    exit_code = 8


class CallError(AvcallError):
    exit_code = 9


class ModelMismatchError(CallError):
    exit_code = 10


class ProtocolError(AvcallError):
    """Bytes from the peer that make no sense. Counted and dropped where they are parsed; never ends a call."""


class NoFaceError(AvcallError):
    exit_code = 11
