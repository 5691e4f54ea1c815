"""What can be wrong with a did:webvh log: one class a rule, so that a refusal names the rule. No I/O.

They stand together because several modules share them; each is raised by the module that decides its rule.

Rules, with the error that answers each:
- D1.1 a DID is `did:webvh:<SCID>:<host>[%3A<port>][:<path>]`: the host ASCII, of two or more labels, never an IP
  address; no path segment can climb out, percent-encoded or not: DID_SYNTAX_INVALID.
- D1.2 lines, all of them together, versions, the witness file and its proofs stay within their limits:
  DID_LOG_TOO_LARGE.
- D2.1 a line is a JSON object of versionId, versionTime, parameters, state and proof, and nothing else:
  DID_ENTRY_MALFORMED.
- D2.2 the method is did:webvh:1.0: DID_METHOD_UNKNOWN.
- D2.3 parameters are known, complete, of their type and permitted in that entry: DID_PARAMETERS_INVALID.
- D2.4 the witness parameter is `{}`, or a threshold from 1 to the number of distinct did:key witnesses it lists:
  DID_WITNESS_INVALID.
- D2.5 version numbers are 1, 2, 3, ...: DID_VERSION_OUT_OF_ORDER.
- D2.6 the SCID is the hash of the first entry, in which `{SCID}` stands nowhere, and every document's id carries it:
  DID_SCID_MISMATCH.
- D2.7 the hash in a version id is that of the entry chained to the version id before it: DID_ENTRY_HASH_MISMATCH.
- D2.8 each version time is later than the one before: DID_TIME_NOT_MONOTONIC.
- D2.9 no version time lies more than AHEAD_S_MAX ahead of the reader's clock: DID_TIME_IN_FUTURE.
- D2.10 only the first entry sets portable to true, and only a portable DID moves: DID_PORTABILITY_REFUSED.
- D2.11 a DID that moves names its previous DID in alsoKnownAs: DID_MOVE_NOT_STATED.
- D2.12 after an entry with nextKeyHashes the next one states both updateKeys and nextKeyHashes, and every one of its
  updateKeys was committed to: DID_PREROTATION_BROKEN.
- D2.13 every proof is by a key that may sign that entry: DID_KEY_NOT_AUTHORIZED.
- D2.14 every proof is well formed, stands once and holds (rule K2.1): DID_PROOF_INVALID.
- D2.15 nothing follows deactivation: DID_DEACTIVATED.
- D3.1 as many distinct witnesses as the rule in force asks for approved each entry, or a later one:
  DID_WITNESS_PROOFS_MISSING.
- D3.2 the witness file, if a rule is in force, is a JSON array of records of versionId and perhaps proof:
  DID_WITNESS_FILE_MALFORMED.
- D4.1 a participant's DID is `did:webvh:<SCID>:<host>[%3A<port>]:o:<slug>`, host and slug in lower case:
  DID_HOST_REFUSED.
- D4.2 it is portable in every version: DID_NOT_PORTABLE.
- D4.3 every version but the deactivating one commits to next update keys: DID_PREROTATION_MISSING.
- D4.4 the document states one GotongLog service, whose keys are Multikeys of the right purpose and no two of which are
  equal: DID_SERVICE_MALFORMED.
- D4.5 the first version is of epoch 0; a later one keeps network, epoch start, keys and where they were retired; an
  epoch is followed by the next: DID_SERVICE_REWRITTEN.
- D4.6 the version that deactivates states where every log key was retired, so the log is closed: DID_LOG_NOT_CLOSED.
"""

from typing import ClassVar

from domain.errors import GotongError


class DidError(GotongError):
    """A DID or its log breaks a rule of did:webvh 1.0 or of Gotong."""

    code: ClassVar[str] = "DID_INVALID"


class DidSyntaxInvalid(DidError):
    """The text is not a did:webvh DID, or its host or path could lead somewhere else (dots, slashes, IP addresses)."""

    code: ClassVar[str] = "DID_SYNTAX_INVALID"


class DidLogTooLarge(DidError):
    """A line, the number of versions or the witness file is beyond its limit."""

    code: ClassVar[str] = "DID_LOG_TOO_LARGE"


class DidEntryMalformed(DidError):
    """A line of the log is not a log entry: not JSON, or a member is missing, unknown or of the wrong type."""

    code: ClassVar[str] = "DID_ENTRY_MALFORMED"


class DidMethodUnknown(DidError):
    """The entry names a version of did:webvh that this verifier does not speak; it is never guessed."""

    code: ClassVar[str] = "DID_METHOD_UNKNOWN"


class DidParametersInvalid(DidError):
    """A parameter is unknown, missing, of the wrong type or not permitted in this entry."""

    code: ClassVar[str] = "DID_PARAMETERS_INVALID"


class DidWitnessInvalid(DidError):
    """The witness parameter is malformed; it is never read as "no witnesses"."""

    code: ClassVar[str] = "DID_WITNESS_INVALID"


class DidVersionOutOfOrder(DidError):
    """The version number is not the previous one plus one (the first is 1)."""

    code: ClassVar[str] = "DID_VERSION_OUT_OF_ORDER"


class DidScidMismatch(DidError):
    """The self-certifying id is not the hash of the first entry, or a later document carries another one."""

    code: ClassVar[str] = "DID_SCID_MISMATCH"


class DidEntryHashMismatch(DidError):
    """The hash in the version id is not that of the entry chained to its predecessor."""

    code: ClassVar[str] = "DID_ENTRY_HASH_MISMATCH"


class DidTimeNotMonotonic(DidError):
    """The version time is not later than that of the previous version."""

    code: ClassVar[str] = "DID_TIME_NOT_MONOTONIC"


class DidTimeInFuture(DidError):
    """The version time lies ahead of this clock by more than the tolerance; one of the two clocks is wrong."""

    code: ClassVar[str] = "DID_TIME_IN_FUTURE"


class DidPrerotationBroken(DidError):
    """The entry does not use exactly the keys that the previous entry committed to, or commits to none itself."""

    code: ClassVar[str] = "DID_PREROTATION_BROKEN"


class DidPortabilityRefused(DidError):
    """The DID moved, or asked to become portable, without having been portable from the first entry."""

    code: ClassVar[str] = "DID_PORTABILITY_REFUSED"


class DidMoveNotStated(DidError):
    """The DID moved, and the document does not name the previous DID in alsoKnownAs."""

    code: ClassVar[str] = "DID_MOVE_NOT_STATED"


class DidKeyNotAuthorized(DidError):
    """The proof is by a key that may not sign this entry."""

    code: ClassVar[str] = "DID_KEY_NOT_AUTHORIZED"


class DidProofInvalid(DidError):
    """A proof of the entry is malformed or its signature does not match."""

    code: ClassVar[str] = "DID_PROOF_INVALID"


class DidWitnessProofsMissing(DidError):
    """Fewer distinct witnesses than the threshold approved an entry (or a later one)."""

    code: ClassVar[str] = "DID_WITNESS_PROOFS_MISSING"


class DidWitnessFileMalformed(DidError):
    """The witness proofs are not a JSON array of version ids and proofs."""

    code: ClassVar[str] = "DID_WITNESS_FILE_MALFORMED"


class DidDeactivated(DidError):
    """The DID was deactivated; no entry can follow."""

    code: ClassVar[str] = "DID_DEACTIVATED"


class DidServiceMalformed(DidError):
    """The DID document states no Gotong log, or states it, its keys or their purposes wrongly."""

    code: ClassVar[str] = "DID_SERVICE_MALFORMED"


class DidServiceRewritten(DidError):
    """A later version takes back what an earlier one stated: network, epoch, a log key, or where a key was retired."""

    code: ClassVar[str] = "DID_SERVICE_REWRITTEN"


class DidLogNotClosed(DidError):
    """The DID was deactivated, and its last document leaves a key that could still sign its log."""

    code: ClassVar[str] = "DID_LOG_NOT_CLOSED"


class DidHostRefused(DidError):
    """The DID's host or path is valid did:webvh, but not of the form that Gotong participants use."""

    code: ClassVar[str] = "DID_HOST_REFUSED"


class DidNotPortable(DidError):
    """A Gotong participant must be able to move, and the DID gave that up or never had it."""

    code: ClassVar[str] = "DID_NOT_PORTABLE"


class DidPrerotationMissing(DidError):
    """A Gotong participant always commits to its next update keys, and this version commits to none."""

    code: ClassVar[str] = "DID_PREROTATION_MISSING"
