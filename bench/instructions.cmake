# Fixed small workloads whose instructions are counted (bench/instructions.py).
add_executable(pawl_instructions instructions.cc measure.cc)
target_include_directories(pawl_instructions PRIVATE ${CMAKE_SOURCE_DIR})
target_link_libraries(pawl_instructions PRIVATE pawl_driver)
set_target_properties(pawl_instructions PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR})
