package grpcapi_test

import "github.com/preceptor-dev/preceptor/services/progress/rigtest"

// Short names of what the tests are written with.
var (
	day0       = rigtest.Day0
	event      = rigtest.Event
	newLearner = rigtest.NewLearner
	newRig     = rigtest.NewRig
	self       = rigtest.Self
)
