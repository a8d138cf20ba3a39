package grpcapi_test

import "github.com/preceptor-dev/preceptor/services/progress/rigtest"

// Short names of what the tests are written with.
type rig = rigtest.Rig

var (
	admin      = rigtest.Admin
	all        = rigtest.All
	day        = rigtest.Day
	day0       = rigtest.Day0
	event      = rigtest.Event
	milestone  = rigtest.Milestone
	module1    = rigtest.Module
	newLearner = rigtest.NewLearner
	newRig     = rigtest.NewRig
	path1      = rigtest.Path
	reasonOf   = rigtest.ReasonOf
	self       = rigtest.Self
	unit       = rigtest.Unit
)
