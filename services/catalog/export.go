package catalog

import "context"

// Export returns the active modules and paths as one document that Import takes, in
// the order of their ids and without what is default. It is the same each time.
func (s *Service) Export(ctx context.Context, format Format) ([]byte, error) {
	all, err := s.feed.Snapshot(ctx, 0)
	if err != nil {
		return nil, err
	}
	return s.documents.Write(Document{Modules: entries(all.Modules), Paths: entries(all.Paths)}, format)
}

func entries[C Content[C]](records []Record[C]) []Entry[C] {
	var out []Entry[C]
	for _, r := range records {
		if r.State == StateActive {
			newest := r.Versions[len(r.Versions)-1]
			out = append(out, Entry[C]{ID: r.ID, Content: newest.Content.Plain()})
		}
	}
	return out
}
