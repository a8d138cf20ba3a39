package progress_test

import "github.com/preceptor-dev/preceptor/services/progress/rigtest"

// Short names of what the tests are written with.
type (
	life    = rigtest.Life
	replica = rigtest.Replica
	rig     = rigtest.Rig
	world   = rigtest.World
)

var (
	admin      = rigtest.Admin
	all        = rigtest.All
	day        = rigtest.Day
	day0       = rigtest.Day0
	drawWorld  = rigtest.DrawWorld
	event      = rigtest.Event
	kOf        = rigtest.KOf
	milestone  = rigtest.Milestone
	module1    = rigtest.Module
	moduleIDs  = rigtest.ModuleIDs
	mustPeriod = rigtest.MustPeriod
	newLearner = rigtest.NewLearner
	newRig     = rigtest.NewRig
	newRigOn   = rigtest.NewRigOn
	onVersion  = rigtest.OnVersion
	path1      = rigtest.Path
	reasonOf   = rigtest.ReasonOf
	redisOf    = rigtest.RedisOf
	self       = rigtest.Self
	unit       = rigtest.Unit
	version    = rigtest.Version
)
