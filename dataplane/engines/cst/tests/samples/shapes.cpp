// Shapes.
#include <vector>
#define MAX(a, b) ((a) > (b) ? (a) : (b))
namespace shapes {
template <typename T, int N = 4>
class Array : public Base<T> {
 public:
  explicit Array(T first) : first_(first), items_{} {}
  virtual ~Array() = default;
  const T &operator[](int at) const { return items_[at]; }
  static constexpr int size() noexcept { return N; }

 private:
  T first_;
  T items_[N];
};

struct Point { int x, y; };
union Either { int a; float b; };
enum class Color { Red = 1, Green };
using Points = std::vector<Point>;
typedef unsigned long word;

int Array<int>::sum(const Points &points) {
  int total = 0;
  for (auto &point : points) total += point.x * 2 + MAX(point.y, 0);
  if (total > 10 && !points.empty()) { return -1; } else { delete this; }
  auto f = [&](int a) -> int { return a + total; };
  try { throw f(1); } catch (...) { goto end; }
  switch (total) { case 1: break; default: while (true) continue; }
end:
  return static_cast<int>(sizeof(Point)) + 'a' + 0x1f;
}
}  // namespace shapes
