package replay_test

import "github.com/preceptor-dev/preceptor/services/progress/rigtest"

// Short names of what the tests are written with.
type (
	life    = rigtest.Life
	replica = rigtest.Replica
	rig     = rigtest.Rig
)

var (
	all        = rigtest.All
	day        = rigtest.Day
	drawWorld  = rigtest.DrawWorld
	event      = rigtest.Event
	milestone  = rigtest.Milestone
	module1    = rigtest.Module
	newLearner = rigtest.NewLearner
	newRig     = rigtest.NewRig
	path1      = rigtest.Path
	self       = rigtest.Self
	unit       = rigtest.Unit
	version    = rigtest.Version
)
