// F(2x2, 3x3) of Lavin and Gray (2016): V = B^T d B, M = U V summed over input channels, Y = A^T M A.
#include <assay/kernel.h>

#include <algorithm>
#include <vector>

namespace {

constexpr int64_t STRIP = 32;  // tiles that are transformed together

// U[xi][out][in] = G g G^T
std::vector<float> transform_weights(const float* w, int64_t out, int64_t in) {
  std::vector<float> u(16 * out * in);
  for (int64_t o = 0; o < out; o++)
    for (int64_t c = 0; c < in; c++) {
      const float* g = w + (o * in + c) * 9;
      float t[4][3];
      for (int j = 0; j < 3; j++) {
        t[0][j] = g[j];
        t[1][j] = 0.5f * ((g[j] + g[6 + j]) + g[3 + j]);
        t[2][j] = 0.5f * ((g[j] + g[6 + j]) - g[3 + j]);
        t[3][j] = g[6 + j];
      }
      for (int i = 0; i < 4; i++) {
        const float row[4] = {t[i][0], 0.5f * ((t[i][0] + t[i][2]) + t[i][1]), 0.5f * ((t[i][0] + t[i][2]) - t[i][1]),
                              t[i][2]};
        for (int j = 0; j < 4; j++) u[((i * 4 + j) * out + o) * in + c] = row[j];
      }
    }
  return u;
}

void input_transform(const float d[4][4], float v[4][4]) {
  float t[4][4];
  for (int j = 0; j < 4; j++) {
    t[0][j] = d[0][j] - d[2][j];
    t[1][j] = d[1][j] + d[2][j];
    t[2][j] = d[2][j] - d[1][j];
    t[3][j] = d[1][j] - d[3][j];
  }
  for (int i = 0; i < 4; i++) {
    v[i][0] = t[i][0] - t[i][2];
    v[i][1] = t[i][1] + t[i][2];
    v[i][2] = t[i][2] - t[i][1];
    v[i][3] = t[i][1] - t[i][3];
  }
}

struct Image {
  const float* x;
  float* y;
  int64_t in, out, height, width;
};

// `count` tiles from tile number `first` of one image
void strip(const Image& im, const float* u, const float* bias, int64_t first, int64_t count, std::vector<float>& v) {
  const int64_t across = (im.width + 1) / 2;
  v.resize(16 * im.in * STRIP);
  for (int64_t c = 0; c < im.in; c++)
    for (int64_t t = 0; t < STRIP; t++) {
      float d[4][4] = {}, r[4][4];
      const int64_t i0 = (first + t) / across * 2 - 1, j0 = (first + t) % across * 2 - 1;
      for (int64_t i = 0; t < count && i < 4; i++)
        for (int64_t j = 0; j < 4; j++)
          if (i0 + i >= 0 && i0 + i < im.height && j0 + j >= 0 && j0 + j < im.width)
            d[i][j] = im.x[(c * im.height + i0 + i) * im.width + j0 + j];
      input_transform(d, r);
      for (int xi = 0; xi < 16; xi++) v[(xi * im.in + c) * STRIP + t] = r[xi / 4][xi % 4];
    }
  for (int64_t o = 0; o < im.out; o++) {
    float m[16][STRIP] = {};
    for (int xi = 0; xi < 16; xi++)
      for (int64_t c = 0; c < im.in; c++) {
        const float w = u[(xi * im.out + o) * im.in + c];
        for (int64_t t = 0; t < STRIP; t++) m[xi][t] += w * v[(xi * im.in + c) * STRIP + t];
      }
    for (int64_t t = 0; t < count; t++) {
      float half[2][4];
      for (int j = 0; j < 4; j++) {
        half[0][j] = m[j][t] + m[4 + j][t] + m[8 + j][t];
        half[1][j] = m[4 + j][t] - m[8 + j][t] - m[12 + j][t];
      }
      for (int64_t i = 0; i < 2; i++) {
        const float pair[2] = {half[i][0] + half[i][1] + half[i][2], half[i][1] - half[i][2] - half[i][3]};
        for (int64_t j = 0; j < 2; j++) {
          const int64_t row = (first + t) / across * 2 + i, col = (first + t) % across * 2 + j;
          if (row < im.height && col < im.width)
            im.y[(o * im.height + row) * im.width + col] = std::max(0.0f, pair[j] + bias[o]);
        }
      }
    }
  }
}

}  // namespace

extern "C" int assay_kernel(const assay_call* call) {
  const assay_tensor& in = call->inputs[0];
  const int64_t batch = in.shape[0], channels = in.shape[1], height = in.shape[2], width = in.shape[3];
  const int64_t out = call->outputs[0].shape[1], tiles = ((height + 1) / 2) * ((width + 1) / 2);
  static const std::vector<float> u = transform_weights(assay_weight<float>(call, 0), out, channels);  // frozen
  const float *x = assay_in<float>(call, 0), *bias = assay_weight<float>(call, 1);
  float* y = assay_out<float>(call, 0);
#pragma omp parallel num_threads(call->n_threads)
  {
    std::vector<float> v;
#pragma omp for collapse(2)
    for (int64_t b = 0; b < batch; b++)
      for (int64_t first = 0; first < tiles; first += STRIP) {
        const int64_t pixels = height * width;
        const Image image{x + b * channels * pixels, y + b * out * pixels, channels, out, height, width};
        strip(image, u.data(), bias, first, std::min(STRIP, tiles - first), v);
      }
  }
  return 0;
}
