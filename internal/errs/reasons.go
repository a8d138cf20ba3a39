package errs

import "slices"

// The reasons of errors and violations; Meanings has what each means.
const (
	// Reasons of errors of the API.

	ReasonInvalidArgument        = "INVALID_ARGUMENT"
	ReasonBadPageToken           = "BAD_PAGE_TOKEN"
	ReasonBodyIncomplete         = "BODY_INCOMPLETE"
	ReasonBodyTooSlow            = "BODY_TOO_SLOW"
	ReasonUnsupportedMediaType   = "UNSUPPORTED_MEDIA_TYPE"
	ReasonUnsupportedEncoding    = "UNSUPPORTED_ENCODING"
	ReasonIdempotencyKeyInvalid  = "IDEMPOTENCY_KEY_INVALID"
	ReasonNotActive              = "NOT_ACTIVE"
	ReasonRebuildRunning         = "REBUILD_RUNNING"
	ReasonNotArchived            = "NOT_ARCHIVED"
	ReasonLearnerSuspended       = "LEARNER_SUSPENDED"
	ReasonLearnerActive          = "LEARNER_ACTIVE"
	ReasonNotStatic              = "NOT_STATIC"
	ReasonArchived               = "ARCHIVED"
	ReasonPublished              = "PUBLISHED"
	ReasonPathArchived           = "PATH_ARCHIVED"
	ReasonTooManyEnrollments     = "TOO_MANY_ENROLLMENTS"
	ReasonWithdrawn              = "WITHDRAWN"
	ReasonAwardRevoked           = "AWARD_REVOKED"
	ReasonNothingToMandate       = "NOTHING_TO_MANDATE"
	ReasonMandateToOlder         = "MANDATE_TO_OLDER"
	ReasonNotMandated            = "NOT_MANDATED"
	ReasonMandateInEffect        = "MANDATE_IN_EFFECT"
	ReasonUpgradeToOlder         = "UPGRADE_TO_OLDER"
	ReasonTokenMissing           = "TOKEN_MISSING"
	ReasonTokenExpired           = "TOKEN_EXPIRED"
	ReasonTokenInvalid           = "TOKEN_INVALID"
	ReasonTicketInvalid          = "TICKET_INVALID"
	ReasonRoleRequired           = "ROLE_REQUIRED"
	ReasonNotYourData            = "NOT_YOUR_DATA"
	ReasonNoAccessRule           = "NO_ACCESS_RULE"
	ReasonRouteNotFound          = "ROUTE_NOT_FOUND"
	ReasonModuleNotFound         = "MODULE_NOT_FOUND"
	ReasonPathNotFound           = "PATH_NOT_FOUND"
	ReasonVersionNotFound        = "VERSION_NOT_FOUND"
	ReasonLearnerNotFound        = "LEARNER_NOT_FOUND"
	ReasonEnrollmentNotFound     = "ENROLLMENT_NOT_FOUND"
	ReasonAwardNotFound          = "AWARD_NOT_FOUND"
	ReasonCohortNotFound         = "COHORT_NOT_FOUND"
	ReasonAwardNotRevoked        = "AWARD_NOT_REVOKED"
	ReasonLaterAward             = "LATER_AWARD"
	ReasonAboutOneself           = "ABOUT_ONESELF"
	ReasonNotEnrolled            = "NOT_ENROLLED"
	ReasonMethodNotAllowed       = "METHOD_NOT_ALLOWED"
	ReasonModuleExists           = "MODULE_EXISTS"
	ReasonPathExists             = "PATH_EXISTS"
	ReasonCohortExists           = "COHORT_EXISTS"
	ReasonSubjectTaken           = "SUBJECT_TAKEN"
	ReasonAlreadyEnrolled        = "ALREADY_ENROLLED"
	ReasonIdempotencyKeyInFlight = "IDEMPOTENCY_KEY_IN_FLIGHT"
	ReasonAborted                = "ABORTED"
	ReasonAlreadyExists          = "ALREADY_EXISTS"
	ReasonEtagMismatch           = "ETAG_MISMATCH"
	ReasonBodyTooLarge           = "BODY_TOO_LARGE"
	ReasonMessageTooLarge        = "MESSAGE_TOO_LARGE"
	ReasonIdempotencyKeyReused   = "IDEMPOTENCY_KEY_REUSED"
	ReasonQueueFull              = "QUEUE_FULL"
	ReasonLearnerBusy            = "LEARNER_BUSY"
	ReasonRateLimited            = "RATE_LIMITED"
	ReasonTooManyStreams         = "TOO_MANY_STREAMS"
	ReasonCancelled              = "CANCELLED"
	ReasonInternal               = "INTERNAL"
	ReasonUnimplemented          = "UNIMPLEMENTED"
	ReasonCatalogBehind          = "CATALOG_BEHIND"
	ReasonUpstreamUnavailable    = "UPSTREAM_UNAVAILABLE"
	ReasonDatabaseUnreachable    = "DATABASE_UNREACHABLE"
	ReasonDatabaseBusy           = "DATABASE_BUSY"
	ReasonDatabaseFull           = "DATABASE_FULL"
	ReasonDatabaseReadOnly       = "DATABASE_READ_ONLY"
	ReasonIssuerUnreachable      = "ISSUER_UNREACHABLE"
	ReasonOverloaded             = "OVERLOADED"
	ReasonShuttingDown           = "SHUTTING_DOWN"
	ReasonDeadlineExceeded       = "DEADLINE_EXCEEDED"
	ReasonOutcomeUnknown         = "OUTCOME_UNKNOWN"
	ReasonCommitOutcomeUnknown   = "COMMIT_OUTCOME_UNKNOWN"
	ReasonDatabaseTimeout        = "DATABASE_TIMEOUT"

	// Reasons of events that are REJECTED.

	ReasonMalformed           = "MALFORMED"
	ReasonForbiddenVerb       = "FORBIDDEN_VERB"
	ReasonUnknownModule       = "UNKNOWN_MODULE"
	ReasonUnknownVersion      = "UNKNOWN_VERSION"
	ReasonUnknownUnit         = "UNKNOWN_UNIT"
	ReasonBelowMasteryScore   = "BELOW_MASTERY_SCORE"
	ReasonMasteryScoreReached = "MASTERY_SCORE_REACHED"
	ReasonEventIDReused       = "EVENT_ID_REUSED"
	ReasonVoidTargetUnknown   = "VOID_TARGET_UNKNOWN"
	ReasonNotVoidable         = "NOT_VOIDABLE"
	ReasonAlreadyVoided       = "ALREADY_VOIDED"

	// Reasons of violations of a request.

	ReasonInvalidJSON      = "INVALID_JSON"
	ReasonInvalidType      = "INVALID_TYPE"
	ReasonInvalidUTF8      = "INVALID_UTF8"
	ReasonInvalidUUID      = "INVALID_UUID"
	ReasonUnknownField     = "UNKNOWN_FIELD"
	ReasonDuplicateField   = "DUPLICATE_FIELD"
	ReasonNotFinite        = "NOT_FINITE"
	ReasonNULCharacter     = "NUL_CHARACTER"
	ReasonControlCharacter = "CONTROL_CHARACTER"
	ReasonEtagsDiffer      = "ETAGS_DIFFER"
	ReasonRequired         = "REQUIRED"
	ReasonUnknownValue     = "UNKNOWN_VALUE"
	ReasonOutOfRange       = "OUT_OF_RANGE"
	ReasonTooLong          = "TOO_LONG"
	ReasonTooMany          = "TOO_MANY"
	ReasonDuplicate        = "DUPLICATE"
	ReasonNotSettable      = "NOT_SETTABLE"
	ReasonStateNotSettable = "STATE_NOT_SETTABLE"
	ReasonPeriodInvalid    = "PERIOD_INVALID"
	ReasonRuleInvalid      = "RULE_INVALID"
	ReasonRuleTooCostly    = "RULE_TOO_COSTLY"

	// Reasons of violations of publishing.

	ReasonMissingTitle          = "MISSING_TITLE"
	ReasonNoRequiredUnit        = "NO_REQUIRED_UNIT"
	ReasonDuplicateUnitID       = "DUPLICATE_UNIT_ID"
	ReasonRequiredNotApplicable = "REQUIRED_NOT_APPLICABLE"
	ReasonMasteryScoreRequired  = "MASTERY_SCORE_REQUIRED"
	ReasonBadContentURI         = "BAD_CONTENT_URI"
	ReasonBadDuration           = "BAD_DURATION"
	ReasonBadPeriod             = "BAD_PERIOD"
	ReasonBadWindow             = "BAD_WINDOW"
	ReasonBadGrace              = "BAD_GRACE"
	ReasonBadFixedDate          = "BAD_FIXED_DATE"
	ReasonFixedDateUnused       = "FIXED_DATE_UNUSED"
	ReasonDuplicateRole         = "DUPLICATE_ROLE"
	ReasonUnknownBackground     = "UNKNOWN_BACKGROUND"
	ReasonUnpublishedModule     = "UNPUBLISHED_MODULE"
	ReasonArchivedModule        = "ARCHIVED_MODULE"
	ReasonDuplicateModule       = "DUPLICATE_MODULE"
	ReasonPrerequisiteCycle     = "PREREQUISITE_CYCLE"
	ReasonSelfCredit            = "SELF_CREDIT"
	ReasonNoMilestone           = "NO_MILESTONE"
	ReasonNoGroup               = "NO_GROUP"
	ReasonEmptyGroup            = "EMPTY_GROUP"
	ReasonDuplicateMilestoneID  = "DUPLICATE_MILESTONE_ID"
	ReasonRequiredCountTooLow   = "REQUIRED_COUNT_TOO_LOW"
	ReasonRequiredCountTooHigh  = "REQUIRED_COUNT_TOO_HIGH"
	ReasonModuleInTwoChoices    = "MODULE_IN_TWO_CHOICES"
	ReasonChangeClassRequired   = "CHANGE_CLASS_REQUIRED"
	ReasonRetakeRequired        = "RETAKE_REQUIRED"
	ReasonRetakeUnused          = "RETAKE_UNUSED"
	ReasonBadEffectiveTime      = "BAD_EFFECTIVE_TIME"
	ReasonSunsetInPast          = "SUNSET_IN_PAST"
	ReasonNoChanges             = "NO_CHANGES"
	ReasonDuplicateID           = "DUPLICATE_ID"
	ReasonDuplicateFile         = "DUPLICATE_FILE"
	ReasonSyntax                = "SYNTAX"
	ReasonTooDeepOrLarge        = "TOO_DEEP_OR_LARGE"

	// Reasons of warnings.

	ReasonPrerequisiteOutsidePath = "PREREQUISITE_OUTSIDE_PATH"
	ReasonPathCannotBeFinished    = "PATH_CANNOT_BE_FINISHED"

	// Reasons that no client of the API receives.

	ReasonSubjectUnknown       = "SUBJECT_UNKNOWN"
	ReasonLinkNotFound         = "LINK_NOT_FOUND"
	ReasonTicketNotFound       = "TICKET_NOT_FOUND"
	ReasonEventNotFound        = "EVENT_NOT_FOUND"
	ReasonRandom               = "RANDOM"
	ReasonDatabaseURLInvalid   = "DATABASE_URL_INVALID"
	ReasonDatabaseCannotOpen   = "DATABASE_CANNOT_OPEN"
	ReasonDatabaseNotADatabase = "DATABASE_NOT_A_DATABASE"
	ReasonDatabaseRefused      = "DATABASE_REFUSED"
	ReasonDatabaseMissing      = "DATABASE_MISSING"
	ReasonDatabaseDriver       = "DATABASE_DRIVER"
	ReasonMigrationFailed      = "MIGRATION_FAILED"
	ReasonSchemaNewer          = "SCHEMA_NEWER"
	ReasonSchemaOld            = "SCHEMA_OLD"
	ReasonSchemaFormat         = "SCHEMA_FORMAT"
	ReasonSchemaDiffers        = "SCHEMA_DIFFERS"
	ReasonNotEmpty             = "NOT_EMPTY"
	ReasonSearchPath           = "SEARCH_PATH"
	ReasonFolderLocked         = "FOLDER_LOCKED"
	ReasonDataFolder           = "DATA_FOLDER"
	ReasonRedisURLInvalid      = "REDIS_URL_INVALID"
	ReasonRedisRefused         = "REDIS_REFUSED"
	ReasonBadIssuer            = "BAD_ISSUER"
	ReasonBadGuard             = "BAD_GUARD"
	ReasonBadAccessRule        = "BAD_ACCESS_RULE"
	ReasonBadSubject           = "BAD_SUBJECT"
	ReasonBadTTL               = "BAD_TTL"
	ReasonUnknownRole          = "UNKNOWN_ROLE"
)

// Use is where a reason occurs.
type Use int

// The uses.
const (
	// UseError is the reason of an error, which the gateway serves with a status.
	UseError Use = iota
	// UseRejected and UseRetry are the reasons of a recorded event's status.
	UseRejected
	UseRetry
	// UseRequest and UsePublishing are the reasons of a violation.
	UseRequest
	UsePublishing
	// UseWarning is the reason of a warning, which prevents nothing.
	UseWarning
	// UseInternal is the reason of an error that an operator sees, or another package, and
	// never a client of the API.
	UseInternal
)

// Meaning is what a reason means where it occurs.
type Meaning struct {
	Reason string
	Use    Use
	// Status is the HTTP status of UseError, else 0.
	Status int
	// Text is as docs/api.md has it.
	Text string
}

// Meanings returns the table of all reasons. A reason that occurs in several places has
// several entries.
func Meanings() []Meaning {
	return slices.Concat(
		errorMeanings(), eventMeanings(), requestMeanings(), publishingMeanings(), warningMeanings(), internalMeanings(),
	)
}

// StatusOf returns the HTTP status of an error's reason, or 0 where the table has none.
func StatusOf(reason string) int {
	for _, m := range errorMeanings() {
		if m.Reason == reason {
			return m.Status
		}
	}
	return 0
}

// meaning returns an entry for each of the reasons.
func meaning(use Use, status int, text string, reasons ...string) []Meaning {
	entries := make([]Meaning, len(reasons))
	for i, reason := range reasons {
		entries[i] = Meaning{Reason: reason, Use: use, Status: status, Text: text}
	}
	return entries
}

func errorMeanings() []Meaning {
	return slices.Concat(
		meaning(UseError, 400, "see `violations`", ReasonInvalidArgument),
		meaning(UseError, 400, "the page token is invalid, or belongs to other filters", ReasonBadPageToken),
		meaning(UseError, 400, "the body ended before its Content-Length", ReasonBodyIncomplete),
		meaning(UseError, 400, "in `violations`: the key is longer than 255 characters, or has others than visible ASCII", ReasonIdempotencyKeyInvalid),
		meaning(UseError, 400, "only an ACTIVE module or path can be archived, or have a mandatory upgrade", ReasonNotActive),
		meaning(UseError, 400, "a rebuild of all learners is running; the detail names its holder and its start", ReasonRebuildRunning),
		meaning(UseError, 400, "only an ARCHIVED module or path can be restored", ReasonNotArchived),
		meaning(UseError, 400, "the module or path must be restored before it is published", ReasonArchived),
		meaning(UseError, 400, "the learner is suspended already", ReasonLearnerSuspended),
		meaning(UseError, 400, "the learner is active already", ReasonLearnerActive),
		meaning(UseError, 400, "only a STATIC cohort has members who are added and removed; those of a RULE cohort follow from its rule", ReasonNotStatic),
		meaning(UseError, 400, "only a draft that was never published can be deleted: archive the module or path instead", ReasonPublished),
		meaning(UseError, 400, "the path accepts no new enrollments", ReasonPathArchived),
		meaning(UseError, 400, "a learner can have at most 1000 that are not withdrawn", ReasonTooManyEnrollments),
		meaning(UseError, 400, "the enrollment is withdrawn: enroll again", ReasonWithdrawn),
		meaning(UseError, 400, "the award is revoked already", ReasonAwardRevoked),
		meaning(UseError, 400, "a path's first version is not an upgrade", ReasonNothingToMandate),
		meaning(UseError, 400, "a newer version of the path is mandatory by then", ReasonMandateToOlder),
		meaning(UseError, 400, "the version of the path is not mandatory: there is no mandate to withdraw", ReasonNotMandated),
		meaning(UseError, 400, "the version has been mandatory for an hour or more: publish a version and mandate that", ReasonMandateInEffect),
		meaning(UseError, 400, "the enrollment is on that version already, or on a newer one", ReasonUpgradeToOlder),
		meaning(UseError, 401, "there is no bearer token", ReasonTokenMissing),
		meaning(UseError, 401, "get a new token", ReasonTokenExpired),
		meaning(UseError, 401, "the token's signature, issuer or audience is not accepted; the detail says when it was signed with another key", ReasonTokenInvalid),
		meaning(UseError, 401, "the ticket was used before, has expired or is for something else: get a new one", ReasonTicketInvalid),
		meaning(UseError, 403, "the token's roles do not allow it", ReasonRoleRequired),
		meaning(UseError, 403, "the data is another learner's", ReasonNotYourData),
		meaning(UseError, 403, "nobody commands about themselves: another admin must", ReasonAboutOneself),
		meaning(UseError, 403, "the RPC names nobody who may call it", ReasonNoAccessRule),
		meaning(UseError, 404, "nothing is served at this path; the detail names the custom methods there are", ReasonRouteNotFound),
		meaning(UseError, 404, "the catalog does not have it, or you may not see it", ReasonModuleNotFound, ReasonPathNotFound, ReasonVersionNotFound),
		meaning(UseError, 404, "it does not exist", ReasonLearnerNotFound, ReasonEnrollmentNotFound, ReasonAwardNotFound,
			ReasonCohortNotFound),
		meaning(UseError, 404, "the learner is not enrolled in the path", ReasonNotEnrolled),
		meaning(UseError, 405, "`Allow` lists the methods of this path", ReasonMethodNotAllowed),
		meaning(UseError, 408, "the body arrived too slowly: send less at once, or over a better line", ReasonBodyTooSlow),
		meaning(UseError, 409, "the id is taken", ReasonModuleExists, ReasonPathExists, ReasonCohortExists),
		meaning(UseError, 409, "the identity belongs to another learner", ReasonSubjectTaken),
		meaning(UseError, 409, "the learner is enrolled in the path", ReasonAlreadyEnrolled),
		meaning(UseError, 409, "the award is not revoked", ReasonAwardNotRevoked),
		meaning(UseError, 409, "the milestone was earned anew since: revoke that award first", ReasonLaterAward),
		meaning(UseError, 409, "the first request with the key is still in progress", ReasonIdempotencyKeyInFlight),
		meaning(UseError, 409, "the resource exists", ReasonAlreadyExists),
		meaning(UseError, 409, "another process took the work over: try again", ReasonAborted),
		meaning(UseError, 412, "the resource changed since it was read: read it again", ReasonEtagMismatch),
		meaning(UseError, 413, "send less at once", ReasonBodyTooLarge, ReasonMessageTooLarge),
		meaning(UseError, 415, "the route takes no body of this Content-Type; the detail names those it takes", ReasonUnsupportedMediaType),
		meaning(UseError, 415, "the body has a Content-Encoding other than gzip", ReasonUnsupportedEncoding),
		meaning(UseError, 422, "the key was used before with another body", ReasonIdempotencyKeyReused),
		meaning(UseError, 429, "wait as long as `Retry-After` says", ReasonQueueFull, ReasonLearnerBusy, ReasonRateLimited),
		meaning(UseError, 429, "so many streams are open already: close one first, or share one", ReasonTooManyStreams),
		meaning(UseError, 499, "the client disconnected", ReasonCancelled),
		serverMeanings(),
	)
}

// serverMeanings are of the errors that are no fault of the request.
func serverMeanings() []Meaning {
	return slices.Concat(
		meaning(UseError, 500, "a bug of the server; the log has the details under the request's id", ReasonInternal),
		meaning(UseError, 501, "this server does not have the RPC", ReasonUnimplemented),
		meaning(UseError, 503, "a service is unreachable or behind; try again", ReasonCatalogBehind, ReasonUpstreamUnavailable),
		meaning(UseError, 503, "the database is unreachable, busy or full; try again", ReasonDatabaseUnreachable, ReasonDatabaseBusy, ReasonDatabaseFull),
		meaning(UseError, 503, "the database accepts no writes at the moment; try again", ReasonDatabaseReadOnly),
		meaning(UseError, 503, "the token cannot be verified at the moment", ReasonIssuerUnreachable),
		meaning(UseError, 503, "the server has as many requests as it can hold; try again", ReasonOverloaded),
		meaning(UseError, 503, "the server is stopping; try again", ReasonShuttingDown),
		meaning(UseError, 504, "the request took too long, and may have taken effect: send it again with the same ids",
			ReasonDeadlineExceeded, ReasonOutcomeUnknown, ReasonCommitOutcomeUnknown, ReasonDatabaseTimeout),
	)
}

func eventMeanings() []Meaning {
	return slices.Concat(
		meaning(UseRejected, 0, "a field is missing, unknown, of the wrong type or out of range; the description names it", ReasonMalformed),
		meaning(UseRejected, 0, "WAIVED, VOIDED and events of another learner need role admin and a `reason`; nobody may waive or void their own",
			ReasonForbiddenVerb),
		meaning(UseRejected, 0, "the catalog has no such module", ReasonUnknownModule),
		meaning(UseRejected, 0, "the module has no such version", ReasonUnknownVersion),
		meaning(UseRejected, 0, "the version, or without a version any version, has no such unit", ReasonUnknownUnit),
		meaning(UseRejected, 0, "PASSED with a score below the version's masteryScore: send FAILED", ReasonBelowMasteryScore),
		meaning(UseRejected, 0, "FAILED with a score of at least the version's masteryScore: send PASSED", ReasonMasteryScoreReached),
		meaning(UseRejected, 0, "the id was sent before with other content", ReasonEventIDReused),
		meaning(UseRejected, 0, "the log has no such event to void", ReasonVoidTargetUnknown),
		meaning(UseRejected, 0, "the event to void is a void itself", ReasonNotVoidable),
		meaning(UseRejected, 0, "the event was voided before", ReasonAlreadyVoided),
		meaning(UseRetry, 0, "the event names something that progress does not know, and the catalog is unavailable", ReasonCatalogBehind),
		meaning(UseRetry, 0, "too many of this learner's writes are queued", ReasonLearnerBusy),
	)
}

func requestMeanings() []Meaning {
	return slices.Concat(
		meaning(UseRequest, 0, "the body is not JSON", ReasonInvalidJSON),
		meaning(UseRequest, 0, "the value has another JSON type than the field", ReasonInvalidType),
		meaning(UseRequest, 0, "the text is not UTF-8", ReasonInvalidUTF8),
		meaning(UseRequest, 0, "the value is not a UUID", ReasonInvalidUUID),
		meaning(UseRequest, 0, "there is no such field, query parameter or header", ReasonUnknownField),
		meaning(UseRequest, 0, "the field or parameter is there twice", ReasonDuplicateField),
		meaning(UseRequest, 0, "the number is not finite", ReasonNotFinite),
		meaning(UseRequest, 0, "the text has a NUL character", ReasonNULCharacter),
		meaning(UseRequest, 0, "the text has a control character", ReasonControlCharacter),
		meaning(UseRequest, 0, "If-Match and the etag of the request differ", ReasonEtagsDiffer),
		meaning(UseRequest, 0, "the key is longer than 255 characters, or has others than visible ASCII", ReasonIdempotencyKeyInvalid),
		meaning(UseRequest, 0, "the page token is invalid, or belongs to other filters", ReasonBadPageToken),
		meaning(UseRequest, 0, "the field is missing or empty", ReasonRequired),
		meaning(UseRequest, 0, "the value has the wrong form", ReasonMalformed),
		meaning(UseRequest, 0, "there is no such value; the description names those there are", ReasonUnknownValue),
		meaning(UseRequest, 0, "the path has no such version", ReasonUnknownVersion),
		meaning(UseRequest, 0, "the number is too small or too large", ReasonOutOfRange),
		meaning(UseRequest, 0, "the text or list is too long", ReasonTooLong, ReasonTooMany),
		meaning(UseRequest, 0, "the list has the value twice", ReasonDuplicate),
		meaning(UseRequest, 0, "the identity belongs to another learner", ReasonSubjectTaken),
		meaning(UseRequest, 0, "there is such a field, and this request cannot change it", ReasonNotSettable),
		meaning(UseRequest, 0, "the state cannot be set, or not from the current one", ReasonStateNotSettable),
		meaning(UseRequest, 0, "the value is not an ISO 8601 period, or out of range", ReasonPeriodInvalid),
		meaning(UseRequest, 0, "the rule of a cohort is no valid CEL, or no question of yes or no; the description begins with the place", ReasonRuleInvalid),
		meaning(UseRequest, 0, "the rule of a cohort takes too long, is too large or too deeply nested", ReasonRuleTooCostly),
		meaning(UseRequest, 0, "there is no such learner", ReasonLearnerNotFound),
	)
}

func publishingMeanings() []Meaning {
	return slices.Concat(
		meaning(UsePublishing, 0, "a module, unit, path or milestone has no title", ReasonMissingTitle),
		meaning(UsePublishing, 0, "a module needs at least one required unit", ReasonNoRequiredUnit),
		meaning(UsePublishing, 0, "two units have one id", ReasonDuplicateUnitID),
		meaning(UsePublishing, 0, "a required unit has moveOn NOT_APPLICABLE, so nobody could complete it", ReasonRequiredNotApplicable),
		meaning(UsePublishing, 0, "moveOn requires PASSED, which needs a masteryScore", ReasonMasteryScoreRequired),
		meaning(UsePublishing, 0, "contentUri is neither http(s) nor relative", ReasonBadContentURI),
		meaning(UsePublishing, 0, "not an ISO 8601 duration, or out of range", ReasonBadDuration),
		meaning(UsePublishing, 0, "a currency policy needs an ISO 8601 period above zero; with basis FIXED_DATE, of whole years", ReasonBadPeriod),
		meaning(UsePublishing, 0, "the window must be shorter than the period, whatever months and years the two fall on", ReasonBadWindow),
		meaning(UsePublishing, 0, "the grace must not be longer than the period", ReasonBadGrace),
		meaning(UsePublishing, 0, "basis FIXED_DATE needs a date as MM-DD", ReasonBadFixedDate),
		meaning(UsePublishing, 0, "a fixedDate without basis FIXED_DATE", ReasonFixedDateUnused),
		meaning(UsePublishing, 0, "a role is named twice", ReasonDuplicateRole),
		meaning(UsePublishing, 0, "the background does not exist", ReasonUnknownBackground),
		meaning(UsePublishing, 0, "the module does not exist", ReasonUnknownModule),
		meaning(UsePublishing, 0, "the module was never published", ReasonUnpublishedModule),
		meaning(UsePublishing, 0, "the module is archived", ReasonArchivedModule),
		meaning(UsePublishing, 0, "a module is named twice where once is enough", ReasonDuplicateModule),
		meaning(UsePublishing, 0, "the prerequisites lead back to the module", ReasonPrerequisiteCycle),
		meaning(UsePublishing, 0, "a module gives credit for itself", ReasonSelfCredit),
		meaning(UsePublishing, 0, "a path or a milestone requires nothing", ReasonNoMilestone, ReasonNoGroup, ReasonEmptyGroup),
		meaning(UsePublishing, 0, "two milestones have one id", ReasonDuplicateMilestoneID),
		meaning(UsePublishing, 0, "the k of a k-of-n group is not between 1 and n", ReasonRequiredCountTooLow, ReasonRequiredCountTooHigh),
		meaning(UsePublishing, 0, "a module is in two k-of-n groups of one path", ReasonModuleInTwoChoices),
		meaning(UsePublishing, 0, "a second or later version needs a changeClass", ReasonChangeClassRequired),
		meaning(UsePublishing, 0, "retake is required with changeClass MATERIAL, and allowed only with it", ReasonRetakeRequired, ReasonRetakeUnused),
		meaning(UsePublishing, 0, "the time is in the past, or too far ahead", ReasonBadEffectiveTime),
		meaning(UsePublishing, 0, "the sunset must come after the archiving", ReasonSunsetInPast),
		meaning(UsePublishing, 0, "there is no draft, or it equals the published version", ReasonNoChanges),
		meaning(UsePublishing, 0, "the module or path must be restored before it is published", ReasonArchived),
		meaning(UsePublishing, 0, "an import names a module, a path or a file twice", ReasonDuplicateID, ReasonDuplicateFile),
		meaning(UsePublishing, 0, "a file of an import cannot be read", ReasonSyntax, ReasonTooDeepOrLarge, ReasonInvalidType, ReasonNULCharacter, ReasonInvalidUTF8),
		meaning(UsePublishing, 0, "a file of an import has a field that does not exist, or one twice", ReasonUnknownField, ReasonDuplicateField),
	)
}

func warningMeanings() []Meaning {
	return slices.Concat(
		meaning(UseWarning, 0, "a module of a path has a prerequisite that the path has not: learners are shown the prerequisite first",
			ReasonPrerequisiteOutsidePath),
		meaning(UseWarning, 0, "nobody who begins now could finish the path; the description names what is in the way", ReasonPathCannotBeFinished),
	)
}

func internalMeanings() []Meaning {
	return slices.Concat(
		meaning(UseInternal, 0, "the identity belongs to no learner yet", ReasonSubjectUnknown),
		meaning(UseInternal, 0, "progress has not seen the identity yet", ReasonLinkNotFound),
		meaning(UseInternal, 0, "progress has no such ticket", ReasonTicketNotFound),
		meaning(UseInternal, 0, "the log does not have the event", ReasonEventNotFound),
		meaning(UseInternal, 0, "the system has no randomness", ReasonRandom),
		meaning(UseInternal, 0, "the database URL is invalid", ReasonDatabaseURLInvalid),
		meaning(UseInternal, 0, "the SQLite file or its folder cannot be written", ReasonDatabaseCannotOpen),
		meaning(UseInternal, 0, "the file is not a SQLite database, or is damaged", ReasonDatabaseNotADatabase),
		meaning(UseInternal, 0, "Postgres does not admit the user", ReasonDatabaseRefused),
		meaning(UseInternal, 0, "Postgres has no database of that name", ReasonDatabaseMissing),
		meaning(UseInternal, 0, "the SQLite driver lacks what the statement cache needs", ReasonDatabaseDriver),
		meaning(UseInternal, 0, "a migration failed", ReasonMigrationFailed),
		meaning(UseInternal, 0, "a newer program migrated the database, and excludes one as old as this", ReasonSchemaNewer),
		meaning(UseInternal, 0, "the database lacks migrations", ReasonSchemaOld),
		meaning(UseInternal, 0, "the database has another format than this program reads", ReasonSchemaFormat),
		meaning(UseInternal, 0, "two databases do not have the same migrations", ReasonSchemaDiffers),
		meaning(UseInternal, 0, "the database, which should be empty, is not", ReasonNotEmpty),
		meaning(UseInternal, 0, "the sessions of the role do not begin in the schema", ReasonSearchPath),
		meaning(UseInternal, 0, "another process uses the folder", ReasonFolderLocked),
		meaning(UseInternal, 0, "the data folder cannot be used", ReasonDataFolder),
		meaning(UseInternal, 0, "the Redis URL is invalid", ReasonRedisURLInvalid),
		meaning(UseInternal, 0, "Redis does not admit the program", ReasonRedisRefused),
		meaning(UseInternal, 0, "a token issuer is configured wrongly", ReasonBadIssuer),
		meaning(UseInternal, 0, "a guard lacks a part", ReasonBadGuard),
		meaning(UseInternal, 0, "an RPC has an access rule that its request cannot meet", ReasonBadAccessRule),
		meaning(UseInternal, 0, "a token for such a subject cannot be issued", ReasonBadSubject),
		meaning(UseInternal, 0, "a token of such a lifetime cannot be issued", ReasonBadTTL),
		meaning(UseInternal, 0, "there is no such role", ReasonUnknownRole),
	)
}
